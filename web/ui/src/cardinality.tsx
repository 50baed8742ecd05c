// The cardinality page: what the index holds, and what makes it grow.

import { useState } from 'preact/hooks'
import { get, type Block, type Cardinality, type NameValue } from './api'
import { count, formatNumber } from './format'
import { Bars, Card, Facts, Problem, useData } from './parts'
import { encodeQuery, formatRoute, newPanel } from './route'
import { useUTC } from './store'
import { formatTime } from './time'

const inQuery = (expr: string) => formatRoute('query', encodeQuery({ panels: [{ ...newPanel(expr), view: 'table' }], from: 'now-1h', to: 'now', step: '', refresh: '' }))

const open = (expr: string) => { location.hash = inQuery(expr) }

// One step down: from a metric to its labels, from a label to its values, from a
// pair to the metrics that have it.
const toMetric = (n: string) => { location.hash = formatRoute('explore', new URLSearchParams({ search: n, metric: n })) }
const toLabel = (n: string) => open(`topk(20, count by (${JSON.stringify(n)}) ({${JSON.stringify(n)}!=""}))`)
const toPair = (n: string) => {
  const i = n.indexOf('=')
  open(`topk(20, count by (__name__) ({${JSON.stringify(n.slice(0, i))}=${JSON.stringify(n.slice(i + 1))}}))`)
}

// bytesByMetric adds up what the generations on disk say of each metric.
export function bytesByMetric(blocks: Block[]): NameValue[] {
  const sums = new Map<string, number>()
  for (const b of blocks) {
    for (const m of b.metrics ?? []) {
      sums.set(m.name, (sums.get(m.name) ?? 0) + m.numBytes)
    }
  }
  return [...sums].map(([name, value]) => ({ name, value })).sort((a, b) => b.value - a.value)
}

export function CardinalityPage() {
  const [limit, setLimit] = useState(20)
  const { data, error } = useData(`tsdb ${limit}`, (signal) => get<Cardinality>('status/tsdb', { limit }, signal), 15000)
  const blocks = useData('blocks', (signal) => get<{ blocks: Block[] }>('status/tsdb/blocks', {}, signal))
  const [utc] = useUTC()
  const h = data?.headStats
  const born = data?.churn
  const hours = born ? Math.max(1, (Date.now() - Date.parse(born.since)) / 3_600_000) : 1
  const bytes = bytesByMetric(blocks.data?.blocks ?? [])
  return (
    <>
      <Problem error={error} />
      {h && <Facts rows={[['Active series', count(h.numSeries)], ['Label pairs', count(h.numLabelPairs)], ['Open chunks', count(h.chunkCount)],
        ...(born ? [['Series born an hour', count(Math.round(born.seriesCreated / hours))], ['Counted since', formatTime(Date.parse(born.since), utc)]] as [string, string][] : [])]} />}
      <div class="toolbar"><label>Rows <select value={limit} onChange={(e) => setLimit(Number(e.currentTarget.value))}>{[10, 20, 50, 100, 500].map((n) => <option key={n} value={n}>{n}</option>)}</select></label></div>
      <div class="columns">
        <Card title="Metrics with the most series"><Bars unit="series" rows={data?.seriesCountByMetricName ?? []} onPick={toMetric} /></Card>
        <Card title="Labels with the most values"><Bars unit="values" rows={data?.labelValueCountByLabelName ?? []} onPick={toLabel} /></Card>
        <Card title="Label pairs with the most series"><Bars unit="series" rows={data?.seriesCountByLabelValuePair ?? []} onPick={toPair} /></Card>
        <Card title="Bytes on disk, by metric">
          {bytes.length === 0 && <p class="note">Counted of sealed partitions.</p>}
          <Bars unit="bytes" rows={bytes.slice(0, limit).map((r) => ({ ...r, text: formatNumber(r.value, 'bytes') }))} onPick={toMetric} />
        </Card>
        {born && <>
          <Card title="Born in the last hour, by metric"><Bars unit="series born" rows={born.seriesCreatedByMetricName} onPick={toMetric} /></Card>
          <Card title="Labels with the most new values"><Bars unit="new values" rows={born.valuesCreatedByLabelName} onPick={toLabel} /></Card>
          <Card title="Born in the last hour, by label pair"><Bars unit="series born" rows={born.seriesCreatedByLabelValuePair} onPick={toPair} /></Card>
        </>}
      </div>
    </>
  )
}
