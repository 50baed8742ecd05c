// The query page: any number of expressions over one range of time.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { ApiError, explain, get, queryInstant, queryRange, remove, type ActiveQuery, type ExemplarSeries, type Explanation, type Point, type QueryData, type Series, type Stats } from './api'
import { Chart, colour } from './chart'
import { grid, heatmap, lines, parseValue } from './data'
import { Editor } from './editor'
import { count, csv, formatNumber, guessUnit, seriesName, unitNames, type Unit } from './format'
import { download, Problem } from './parts'
import { Plan } from './plan'
import { decodeQuery, encodeQuery, first, newPanel, replaceRoute, type Panel, type QueryState, type Route } from './route'
import { isDark, remember, useStored, useTheme, useUTC } from './store'
import { autoStep, formatDuration, formatTime, parseDuration, parseTime } from './time'

const ranges = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d', '90d']
const refreshes = ['', '5s', '10s', '30s', '1m', '5m']

export interface Range { from: number; to: number; step: number }

// resolve turns the texts of the address into milliseconds, as of now.
export function resolve(s: QueryState, now: number, utc: boolean, points: number): Range | string {
  const from = parseTime(s.from, now, utc)
  const to = parseTime(s.to, now, utc)
  if (from === null) return `“${s.from}” is not a time: write now-1h, 2026-01-31 12:00 or seconds since 1970`
  if (to === null) return `“${s.to}” is not a time: write now, now-1h, 2026-01-31 12:00 or seconds since 1970`
  if (from >= to) return 'The range ends before it begins'
  let step = autoStep(to - from, points)
  if (s.step !== '') {
    const wanted = parseDuration(s.step)
    if (wanted === null || wanted <= 0) return `“${s.step}” is not a step: write 15s or 5m`
    step = wanted / 1000
  }
  // Steps that stand still let the server reuse what it has computed.
  const aligned = Math.ceil(from / 1000 / step) * step * 1000
  return { from: aligned, to: aligned + Math.floor((to - aligned) / 1000 / step) * step * 1000, step }
}

export function QueryPage({ route }: { route: Route }) {
  const [last, setLast] = useStored('last', encodeQuery(first()).toString())
  const current = () => decodeQuery(route.parameters.size > 0 ? route.parameters : new URLSearchParams(last))
  const [state, setState] = useState(current)
  const [utc] = useUTC()
  const [tick, setTick] = useState(0)
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => setState(current()), [route])

  const points = Math.max(100, Math.min(600, Math.floor((innerWidth - 120) / 2.5)))
  const range = useMemo(() => resolve(state, now, utc, points), [state.from, state.to, state.step, now, utc, points])

  const change = (next: QueryState) => {
    setState(next)
    setLast(encodeQuery(next).toString())
    replaceRoute('query', encodeQuery(next))
  }
  const run = () => {
    setNow(Date.now())
    setTick((n) => n + 1)
  }
  useEffect(() => {
    const every = parseDuration(state.refresh)
    if (!every) return
    const timer = setInterval(() => { if (!document.hidden) run() }, every)
    return () => clearInterval(timer)
  }, [state.refresh])

  const setRange = (from: string, to: string) => {
    change({ ...state, from, to })
    setNow(Date.now())
    setTick((n) => n + 1)
  }
  const absolute = (from: number, to: number) => setRange(formatTime(Math.round(from), utc), formatTime(Math.round(to), utc))
  const shift = (share: number) => {
    if (typeof range === 'string') return
    const d = (range.to - range.from) * share
    absolute(range.from + d, range.to + d)
  }
  const zoom = (factor: number) => {
    if (typeof range === 'string') return
    const middle = (range.from + range.to) / 2
    const half = ((range.to - range.from) / 2) * factor
    absolute(middle - half, Math.min(middle + half, Date.now()))
  }
  const quick = state.to === 'now' && state.from.startsWith('now-') ? state.from.slice(4) : ''
  const setPanel = (i: number, p: Panel) => change({ ...state, panels: state.panels.map((old, k) => (k === i ? p : old)) })

  return (
    <>
      <div class="toolbar" role="group" aria-label="Range of time">
        <button type="button" title="Earlier" aria-label="Earlier" onClick={() => shift(-0.5)}>‹</button>
        <select aria-label="Range up to now" value={ranges.includes(quick) ? quick : ''} onChange={(e) => e.currentTarget.value && setRange('now-' + e.currentTarget.value, 'now')}>
          <option value="" disabled>custom</option>
          {ranges.map((r) => <option key={r} value={r}>last {r}</option>)}
        </select>
        <button type="button" title="Later" aria-label="Later" onClick={() => shift(0.5)}>›</button>
        <button type="button" title="Zoom in" aria-label="Zoom in" onClick={() => zoom(0.5)}>+</button>
        <button type="button" title="Zoom out" aria-label="Zoom out" onClick={() => zoom(2)}>−</button>
        <TimeField label="From" value={state.from} onSet={(v) => setRange(v, state.to)} />
        <TimeField label="To" value={state.to} onSet={(v) => setRange(state.from, v)} />
        <TimeField label="Step" value={state.step} hint={typeof range === 'string' ? '' : formatDuration(range.step * 1000)} onSet={(v) => { change({ ...state, step: v }); run() }} />
        <label>
          Refresh{' '}
          <select value={state.refresh} onChange={(e) => change({ ...state, refresh: e.currentTarget.value })}>
            {refreshes.map((r) => <option key={r} value={r}>{r || 'off'}</option>)}
          </select>
        </label>
        <button type="button" class="primary" onClick={run}>Run all</button>
      </div>
      {typeof range === 'string' && <Problem error={new ApiError(range, 'bad_data', 0)} />}
      {state.panels.map((panel, i) => (
        <PanelView key={i} index={i} panel={panel} range={typeof range === 'string' ? null : range} tick={tick} utc={utc}
          onChange={(p) => setPanel(i, p)} onRun={run}
          onZoom={(from, to) => absolute(from * 1000, to * 1000)} onPan={shift}
          onClose={state.panels.length > 1 ? () => change({ ...state, panels: state.panels.filter((_, k) => k !== i) }) : undefined} />
      ))}
      <p><button type="button" onClick={() => change({ ...state, panels: [...state.panels, newPanel()] })}>Add an expression</button></p>
    </>
  )
}

function TimeField({ label, value, hint, onSet }: { label: string; value: string; hint?: string; onSet(v: string): void }) {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  return (
    <label>
      {label}{' '}
      <input class={label === 'Step' ? 'short' : ''} value={text} placeholder={hint} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)}
        onBlur={() => text !== value && onSet(text)} onKeyDown={(e) => e.key === 'Enter' && onSet(text)} />
    </label>
  )
}

interface Answer { data: QueryData; range: Range; expr: string; warnings: string[]; infos: string[]; tookMs: number }

interface PanelProps {
  index: number; panel: Panel; range: Range | null; tick: number; utc: boolean
  onChange(p: Panel): void; onRun(): void; onZoom(from: number, to: number): void; onPan(share: number): void; onClose?: () => void
}

function PanelView({ index, panel, range, tick, utc, onChange, onRun, onZoom, onPan, onClose }: PanelProps) {
  const [answer, setAnswer] = useState<Answer | null>(null)
  const [error, setError] = useState<Error | undefined>()
  const [busy, setBusy] = useState<AbortController | null>(null)
  const [exemplars, setExemplars] = useState<ExemplarSeries[]>([])
  const [explanation, setExplanation] = useState<Explanation | null>(null)
  const [favourites, setFavourites] = useStored<string[]>('favourites', [])
  const [past] = useStored<string[]>('history', [])
  const [theme] = useTheme()
  const latest = useRef<AbortController | null>(null)
  const instant = panel.view === 'table'
  const expr = panel.expr.trim()

  useEffect(() => {
    if (expr === '' || range === null) return
    latest.current?.abort()
    const control = new AbortController()
    latest.current = control
    setBusy(control)
    const start = performance.now()
    const ask = instant ? queryInstant(expr, range.to, control.signal) : queryRange(expr, range.from, range.to, range.step, control.signal)
    ask.then(
      (reply) => {
        setAnswer({ data: reply.data, range, expr, warnings: reply.warnings ?? [], infos: reply.infos ?? [], tookMs: performance.now() - start })
        setError(undefined)
        remember(expr)
      },
      (e: Error) => { if (!control.signal.aborted) setError(e) },
    ).finally(() => { if (latest.current === control) setBusy(null) })
    if (panel.exemplars && !instant) {
      get<ExemplarSeries[]>('query_exemplars', { query: expr, start: range.from / 1000, end: range.to / 1000 }, control.signal)
        .then(({ data }) => setExemplars(data), () => setExemplars([]))
    } else setExemplars((old) => (old.length > 0 ? [] : old))
    if (panel.view === 'plan') explain(expr, range.from, range.to, range.step, control.signal).then(({ data }) => setExplanation(data), () => setExplanation(null))
    return () => control.abort()
    // The text that is being typed runs on Enter, not on each letter.
  }, [tick, range, instant, panel.exemplars, panel.view === 'plan'])

  const unit = (panel.unit || guessUnit(expr)) as Unit
  const view = answer && !instant ? answer : null
  const times = useMemo(() => (view ? grid(view.range.from, view.range.to, view.range.step) : []), [view])
  const drawn = useMemo(() => (view ? lines(series(view.data), times, view.range.step) : []), [view, times])
  const heat = useMemo(() => (view && panel.drawing === 'heatmap' ? heatmap(series(view.data), times, view.range.step) : null), [view, times, panel.drawing])
  const favourite = favourites.includes(expr)

  return (
    <section class="card panel" aria-label={`Expression ${index + 1}`}>
      <div class="ask">
        <i class="number" style={{ color: colour(index) }}>{String.fromCharCode(65 + (index % 26))}</i>
        <Editor value={panel.expr} error={error?.message ?? ''} label={`Expression ${index + 1}`} onChange={(e) => onChange({ ...panel, expr: e })} onRun={() => onRun()} />
        <button type="button" title={favourite ? 'Forget this favourite' : 'Keep as a favourite'} aria-label="Favourite" aria-pressed={favourite} disabled={expr === ''}
          onClick={() => setFavourites(favourite ? favourites.filter((f) => f !== expr) : [expr, ...favourites])}>{favourite ? '★' : '☆'}</button>
        {busy
          ? <button type="button" class="danger" onClick={() => { busy.abort(); setBusy(null) }}>Cancel</button>
          : <button type="button" class="primary" onClick={onRun}>Run</button>}
        {onClose && <button type="button" title="Remove this expression" aria-label="Remove this expression" onClick={onClose}>×</button>}
      </div>
      <div class="toolbar slim">
        <div class="tabs" role="tablist" aria-label="View">
          {(['graph', 'table', 'plan', 'json'] as const).map((v) => (
            <button type="button" key={v} role="tab" aria-selected={panel.view === v} onClick={() => onChange({ ...panel, view: v })}>{v}</button>
          ))}
        </div>
        {panel.view === 'graph' && (
          <>
            <select aria-label="Drawing" value={panel.drawing} onChange={(e) => onChange({ ...panel, drawing: e.currentTarget.value as Panel['drawing'] })}>
              <option value="lines">lines</option><option value="stacked">stacked</option><option value="heatmap">heatmap</option>
            </select>
            <label><input type="checkbox" checked={panel.exemplars} onChange={(e) => onChange({ ...panel, exemplars: e.currentTarget.checked })} /> exemplars</label>
          </>
        )}
        <select aria-label="Unit" value={panel.unit} onChange={(e) => onChange({ ...panel, unit: e.currentTarget.value })}>
          <option value="">unit: {unitNames[guessUnit(expr)]}</option>
          {Object.entries(unitNames).map(([u, name]) => <option key={u} value={u}>{name}</option>)}
        </select>
        <select aria-label="History and favourites" value="" onChange={(e) => { const v = e.currentTarget.value; e.currentTarget.value = ''; if (v) onChange({ ...panel, expr: v }) }}>
          <option value="">history…</option>
          {favourites.length > 0 && <optgroup label="Favourites">{favourites.map((f) => <option key={f} value={f}>{f.slice(0, 120)}</option>)}</optgroup>}
          <optgroup label="History">{past.map((f) => <option key={f} value={f}>{f.slice(0, 120)}</option>)}</optgroup>
        </select>
        {answer && <button type="button" onClick={() => download('varve.csv', 'text/csv', toCSV(answer, utc))}>CSV</button>}
        <span class="spread" />
        {busy ? <Progress expr={expr} /> : answer && <Cost stats={answer.data.stats} series={series(answer.data).length} tookMs={answer.tookMs} />}
      </div>
      <Problem error={error} />
      {answer?.warnings.map((w) => <p key={w} class="warning">{w}</p>)}
      {answer?.infos.map((w) => <p key={w} class="note">{w}</p>)}
      {answer === null && !error && <p class="empty">{busy ? 'Asking…' : expr === '' ? 'Write an expression and press Enter.' : ''}</p>}
      {panel.view === 'graph' && view && (drawn.length === 0
        ? <p class="empty">No series in this range.</p>
        : <>
            {panel.drawing === 'heatmap' && heat === null && <p class="note">A heatmap needs native histograms, or buckets with the label le: sum by (le) (rate(…_bucket[5m])).</p>}
            <Chart times={times} lines={drawn} heat={heat} drawing={panel.drawing} unit={unit} utc={utc} dark={isDark(theme)} exemplars={exemplars} onZoom={onZoom} onPan={onPan} />
          </>)}
      {panel.view === 'table' && answer && <Table data={answer.data} unit={unit} utc={utc} />}
      {panel.view === 'plan' && <Plan explanation={explanation} stats={answer?.data.stats} />}
      {panel.view === 'json' && answer && <pre class="json" tabIndex={0}>{JSON.stringify(answer.data, null, 1).slice(0, 500_000)}</pre>}
    </section>
  )
}

export const series = (data: QueryData): Series[] => (data.resultType === 'matrix' || data.resultType === 'vector' ? (data.result as Series[]) : [])

// Progress looks for the query among those that run.
function Progress({ expr }: { expr: string }) {
  const [text, setText] = useState('')
  const [id, setId] = useState<string | null>(null)
  useEffect(() => {
    const control = new AbortController()
    const timer = setInterval(async () => {
      try {
        const { data } = await get<{ queries: ActiveQuery[] }>('status/active_queries', {}, control.signal)
        const mine = data.queries.find((q) => q.query.replaceAll(/\s/g, '') === expr.replaceAll(/\s/g, ''))
        if (!mine) return
        setId(String(mine.id))
        const [done, total] = [Number(mine.seriesDone ?? 0), Number(mine.seriesTotal ?? 0)]
        setText(mine.phase === 'queued' ? 'waits for its turn' : `${count(Number(mine.samples ?? 0))} samples${total > 0 ? `, ${Math.floor((done / total) * 100)} % of ${count(total)} series` : ''}`)
      } catch {
        // The next turn tells.
      }
    }, 500)
    return () => { control.abort(); clearInterval(timer) }
  }, [expr])
  return (
    <span class="cost" role="status">
      <span class="spinner" /> {text || 'running'}
      {id !== null && <button type="button" class="link" onClick={() => void remove('status/active_queries', { id }).catch(() => undefined)}>end it on the server</button>}
    </span>
  )
}

function Cost({ stats, series, tookMs }: { stats?: Stats; series: number; tookMs: number }) {
  const parts = [`${count(series)} series`, `${formatNumber(tookMs / 1000, 'seconds')} in all`]
  if (stats) {
    parts.push(`${formatNumber(stats.timings.execTotalTime, 'seconds')} on the server`)
    const e = stats.execution
    parts.push(`${formatNumber(e?.samples || stats.samples.totalQueryableSamples, 'short')} samples`)
    if (e && e.bytesRead > 0) parts.push(`${formatNumber(e.bytesRead, 'bytes')} read`)
  }
  return <span class="cost">{parts.join(' · ')}</span>
}

function Table({ data, unit, utc }: { data: QueryData; unit: Unit; utc: boolean }) {
  const [sort, setSort] = useState<{ by: string; down: boolean }>({ by: '', down: true })
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    const [t, v] = data.result as Point
    return <p class="scalar"><b>{v}</b> <span class="note">at {formatTime(t * 1000, utc)}</span></p>
  }
  const rows = series(data)
  if (rows.length === 0) return <p class="empty">No series at this time.</p>
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.metric)))].sort((a, b) => Number(b === '__name__') - Number(a === '__name__') || a.localeCompare(b))
  const valueOf = (r: Series) => (r.value ? parseValue(r.value[1]) : r.histogram ? parseValue(r.histogram[1].count) : NaN)
  const sorted = sort.by === '' ? rows : [...rows].sort((a, b) => {
    const order = sort.by === ' value' ? valueOf(a) - valueOf(b) : (a.metric[sort.by] ?? '').localeCompare(b.metric[sort.by] ?? '', undefined, { numeric: true })
    return sort.down ? -order : order
  })
  const head = (by: string, text: string) => (
    <th aria-sort={sort.by === by ? (sort.down ? 'descending' : 'ascending') : 'none'}>
      <button type="button" class="link" onClick={() => setSort({ by, down: sort.by === by ? !sort.down : true })}>{text}{sort.by === by ? (sort.down ? ' ↓' : ' ↑') : ''}</button>
    </th>
  )
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Result">
      <table class="result">
        <thead><tr>{names.map((n) => head(n, n === '__name__' ? 'metric' : n))}{head(' value', 'value')}</tr></thead>
        <tbody>
          {sorted.slice(0, 2000).map((r) => (
            <tr key={seriesName(r.metric)}>
              {names.map((n) => <td key={n}>{r.metric[n] ?? ''}</td>)}
              <td class="number" title={r.value?.[1]}>
                {r.value ? formatNumber(parseValue(r.value[1]), unit) : r.histogram ? `count ${r.histogram[1].count}, sum ${r.histogram[1].sum}` : ''}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > 2000 && <p class="note">2,000 of {count(rows.length)} rows; the CSV has all.</p>}
    </div>
  )
}

function toCSV(a: Answer, utc: boolean): string {
  const rows: string[][] = [['series', 'time', 'value']]
  if (a.data.resultType === 'scalar' || a.data.resultType === 'string') {
    const [t, v] = a.data.result as Point
    return csv([...rows, ['', formatTime(t * 1000, utc), v]])
  }
  for (const s of series(a.data)) {
    const name = seriesName(s.metric)
    for (const [t, v] of s.values ?? (s.value ? [s.value] : [])) rows.push([name, formatTime(t * 1000, utc), v])
    for (const [t, h] of s.histograms ?? (s.histogram ? [s.histogram] : [])) rows.push([name, formatTime(t * 1000, utc), JSON.stringify(h)])
  }
  return csv(rows)
}
