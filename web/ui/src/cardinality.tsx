// The cardinality page: what the index holds, and what makes it grow.

import { useState } from 'preact/hooks'
import { get, type Block, type Cardinality, type NameValue } from './api'
import { count, formatNumber } from './format'
import { Bars, Card, Facts, Problem, useData } from './parts'
import { encodeQuery, formatRoute, newPanel } from './route'

const inQuery = (expr: string) => formatRoute('query', encodeQuery({ panels: [{ ...newPanel(expr), view: 'table' }], from: 'now-1h', to: 'now', step: '', refresh: '' }))

const open = (expr: string) => { location.hash = inQuery(expr) }

// bytesByMetric adds up what the generations on disk say of each metric.
export function bytesByMetric(blocks: Block[]): NameValue[] {
  const sums = new Map<string, number>()
  for (const b of blocks) {
    for (const m of b.metrics ?? []) {
      const name = m.metric ?? m.name ?? ''
      sums.set(name, (sums.get(name) ?? 0) + (m.bytes ?? 0))
    }
  }
  return [...sums].map(([name, value]) => ({ name, value })).sort((a, b) => b.value - a.value)
}

export function CardinalityPage() {
  const [limit, setLimit] = useState(20)
  const { data, error } = useData(`tsdb ${limit}`, (signal) => get<Cardinality>('status/tsdb', { limit }, signal), 15000)
  const blocks = useData('blocks', (signal) => get<{ blocks: Block[] }>('status/tsdb/blocks', {}, signal))
  const h = data?.headStats
  const born = (data?.churn ?? {}) as Record<string, unknown>
  return (
    <>
      <Problem error={error} />
      {h && <Facts rows={[['Active series', count(h.numSeries)], ['Label pairs', count(h.numLabelPairs)], ['Open chunks', count(h.chunkCount)]]} />}
      <div class="toolbar"><label>Rows <select value={limit} onChange={(e) => setLimit(Number(e.currentTarget.value))}>{[10, 20, 50, 100, 500].map((n) => <option key={n} value={n}>{n}</option>)}</select></label></div>
      <div class="columns">
        <Card title="Metrics with the most series"><Bars unit="series" rows={data?.seriesCountByMetricName ?? []} onPick={(n) => open(`count by (job, instance) ({__name__=${JSON.stringify(n)}})`)} /></Card>
        <Card title="Labels with the most values"><Bars unit="values" rows={data?.labelValueCountByLabelName ?? []} onPick={(n) => open(`topk(20, count by (${JSON.stringify(n)}) ({${JSON.stringify(n)}!=""}))`)} /></Card>
        <Card title="Label pairs with the most series"><Bars unit="series" rows={data?.seriesCountByLabelValuePair ?? []} onPick={(n) => { const i = n.indexOf('='); open(`topk(20, count by (__name__) ({${JSON.stringify(n.slice(0, i))}=${JSON.stringify(n.slice(i + 1))}}))`) }} /></Card>
        {Object.entries(born).filter(([, rows]) => Array.isArray(rows)).map(([title, rows]) => (
          <Card key={title} title={churnTitle(title)}><Bars unit="series born" rows={rows as NameValue[]} /></Card>
        ))}
        <Card title="Bytes on disk, by metric"><Bars unit="bytes" rows={bytesByMetric(blocks.data?.blocks ?? []).slice(0, limit).map((r) => ({ ...r, text: formatNumber(r.value, 'bytes') }))} /></Card>
      </div>
    </>
  )
}

const churnTitle = (name: string) => 'Churn: ' + name.replaceAll(/([A-Z])/g, ' $1').toLowerCase()
