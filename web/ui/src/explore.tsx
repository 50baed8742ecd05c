// The explore page: find a metric by what it is called or what it means.

import { useMemo, useState } from 'preact/hooks'
import { get, type Labels, type Metadata } from './api'
import { matches } from './data'
import { count } from './format'
import { Bars, Card, Problem, useData } from './parts'
import { encodeQuery, formatRoute, newPanel, replaceRoute, type Route } from './route'

type Described = Record<string, Metadata[]>

// graphFor writes the expression that one wants to see of a metric.
export function graphFor(name: string, type: string): string {
  const quoted = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name) ? name : `{${JSON.stringify(name)}}`
  const base = name.replace(/_bucket$/, '')
  if (name.endsWith('_bucket') || type === 'histogram') return `histogram_quantile(0.99, sum by (le) (rate(${base}_bucket[5m])))`
  if (type === 'counter' || /_(total|count|sum)$/.test(name)) return `sum(rate(${quoted}[5m]))`
  return quoted
}

// family finds the metadata of a series' metric, which may be a part of a histogram.
export function family(name: string, described: Described): Metadata | undefined {
  const at = (n: string) => described[n]?.[0]
  return at(name) ?? at(name.replace(/_(bucket|count|sum)$/, '')) ?? at(name.replace(/_total$/, ''))
}

const shownMax = 200

export function ExplorePage({ route }: { route: Route }) {
  const [typed, setTyped] = useState(route.parameters.get('search') ?? '')
  const [picked, setPicked] = useState(route.parameters.get('metric') ?? '')
  const names = useData('names', (signal) => get<string[]>('label/__name__/values', {}, signal))
  const described = useData('metadata', (signal) => get<Described>('metadata', {}, signal))
  const found = useMemo(() => {
    const help = described.data ?? {}
    return (names.data ?? [])
      .map((name) => ({ name, meta: family(name, help) }))
      .map((m) => ({ ...m, score: typed === '' ? 0 : (matches(m.name, typed) ?? ((m.meta?.help ?? '').toLowerCase().includes(typed.toLowerCase()) ? 0.5 : null)) }))
      .filter((m) => m.score !== null)
      .sort((a, b) => b.score! - a.score! || a.name.localeCompare(b.name))
  }, [names.data, described.data, typed])
  const show = (search: string, metric: string) => {
    setTyped(search)
    setPicked(metric)
    const p = new URLSearchParams()
    if (search) p.set('search', search)
    if (metric) p.set('metric', metric)
    replaceRoute('explore', p)
  }
  return (
    <div class="columns">
      <Card title="Metrics" aside={<span class="note">{count(found.length)} of {count(names.data?.length ?? 0)}</span>}>
        <input type="search" class="wide" placeholder="Name or help" aria-label="Find a metric" value={typed} autofocus onInput={(e) => show(e.currentTarget.value, picked)} />
        <Problem error={names.error} />
        <ul class="found">
          {found.slice(0, shownMax).map((m) => (
            <li key={m.name}>
              <button type="button" aria-pressed={m.name === picked} onClick={() => show(typed, m.name)}>
                <b>{m.name}</b>
                {m.meta?.type && <em>{m.meta.type}</em>}
                <span>{m.meta?.help}</span>
              </button>
            </li>
          ))}
        </ul>
        {found.length > shownMax && <p class="note">The first {shownMax}; type more to find others.</p>}
        {names.data?.length === 0 && <p class="empty">Nothing is stored yet.</p>}
      </Card>
      {picked !== '' && <Metric name={picked} meta={family(picked, described.data ?? {})} />}
    </div>
  )
}

function Metric({ name, meta }: { name: string; meta?: Metadata }) {
  const matcher = `{__name__=${JSON.stringify(name)}}`
  const series = useData('series ' + name, (signal) => get<Labels[]>('series', { 'match[]': matcher, start: Date.now() / 1000 - 3600, limit: 5000 }, signal))
  const labels = useMemo(() => {
    const values = new Map<string, Map<string, number>>()
    for (const s of series.data ?? []) {
      for (const [k, v] of Object.entries(s)) {
        if (k === '__name__') continue
        if (!values.has(k)) values.set(k, new Map())
        values.get(k)!.set(v, (values.get(k)!.get(v) ?? 0) + 1)
      }
    }
    return [...values].sort((a, b) => b[1].size - a[1].size)
  }, [series.data])
  const expr = graphFor(name, meta?.type ?? '')
  const link = (e: string) => formatRoute('query', encodeQuery({ panels: [newPanel(e)], from: 'now-1h', to: 'now', step: '', refresh: '' }))
  return (
    <Card title={name} aside={<a class="button primary" href={link(expr)}>Graph it</a>}>
      <p>{meta?.help || 'Its senders have not said what it means.'}</p>
      <p class="note">{[meta?.type, meta?.unit].filter(Boolean).join(', ')}{meta?.type ? ' · ' : ''}{count(series.data?.length ?? 0)}{(series.data?.length ?? 0) >= 5000 ? ' or more' : ''} series in the last hour</p>
      <p><code>{expr}</code></p>
      <Problem error={series.error} />
      {labels.map(([label, values]) => (
        <details key={label} open={labels.length <= 4}>
          <summary>{label} <span class="note">{count(values.size)} values</span></summary>
          <Bars unit="series" rows={[...values].sort((a, b) => b[1] - a[1]).slice(0, 20).map(([value, n]) => ({ name: value, value: n }))}
            onPick={(v) => { location.hash = link(expr.replace(name, `${name}{${label}=${JSON.stringify(v)}}`)) }} />
        </details>
      ))}
    </Card>
  )
}
