// The storage page: what is on disk, by time, and how well it is packed.

import { ApiError, change, get, metrics, post, type Block, type Deletion, type Labels } from './api'
import { count, formatNumber } from './format'
import { jobs, remarks } from './health'
import { Card, Facts, Problem, useData } from './parts'
import { Retention } from './retention'
import { useUTC } from './store'
import { formatTime, parseTime } from './time'
import { useState } from 'preact/hooks'

export interface Partition { key: string; start: number; end: number; blocks: Block[]; samples: number; series: number; bytes: number; states: string[]; resolution: string }

// partitions groups generations by their window, which begins their names: tenant,
// resolution, start and shard, in 30 hexadecimal digits.
export function partitions(blocks: Block[]): Partition[] {
  const all = new Map<string, Partition>()
  for (const b of blocks) {
    const key = b.id.slice(0, 30)
    let p = all.get(key)
    if (!p) all.set(key, (p = { key, start: b.minTime, end: b.maxTime, blocks: [], samples: 0, series: 0, bytes: 0, states: [], resolution: b.resolution ?? 'raw' }))
    p.blocks.push(b)
    p.start = Math.min(p.start, b.minTime)
    p.end = Math.max(p.end, b.maxTime)
    p.samples += b.stats.numSamples
    p.series = Math.max(p.series, b.stats.numSeries)
    p.bytes += b.stats.numBytes
    if (!p.states.includes(b.state)) p.states.push(b.state)
  }
  return [...all.values()].sort((a, b) => b.start - a.start)
}

export function StoragePage() {
  const [utc] = useUTC()
  const [done, setDone] = useState('')
  const [failed, setFailed] = useState<Error | undefined>()
  const { data, error, again } = useData('blocks', (signal) => get<{ blocks: Block[] }>('status/tsdb/blocks', {}, signal), 10000)
  const own = useData('metrics', metrics, 2000)
  const all = partitions(data?.blocks ?? [])
  const sum = (f: (p: Partition) => number) => all.reduce((n, p) => n + f(p), 0)
  const [samples, bytes] = [sum((p) => p.samples), sum((p) => p.bytes)]
  const most = Math.max(1, ...all.map((p) => p.bytes))
  const seal = async () => {
    setDone('Sealing…')
    setFailed(undefined)
    try {
      const { data } = await post<{ partitions: { numSamples: number }[] }>('admin/tsdb/seal', {})
      setDone(`${count(data.partitions.reduce((n, p) => n + p.numSamples, 0))} samples sealed in ${data.partitions.length} partitions.`)
      again()
    } catch (e) {
      setDone('')
      setFailed(e as Error)
    }
  }
  return (
    <>
      <Problem error={error} />
      <Facts rows={[
        ['On disk', formatNumber(bytes, 'bytes')], ['Samples on disk', formatNumber(samples, 'short')],
        ['Bytes a sample', samples > 0 ? (bytes / samples).toFixed(2) : '–'], ['Partitions', count(all.length)],
        ['Samples in memory', formatNumber(own.data?.get('varve_tsdb_head_samples'), 'short')],
      ]} />
      <div class="columns">
        <Card title="Health">
          <Problem error={own.error} />
          <ul class="remarks">{own.data && remarks(own.data).map((r) => <li key={r.text} class={r.state}>{r.text}</li>)}</ul>
        </Card>
        <Card title="Jobs">
          {own.data && jobs(own.data, Date.now()).length === 0 && <p class="empty">Nothing is to be done at the moment.</p>}
          {own.data && jobs(own.data, Date.now()).map((j) => (
            <div key={j.name} class="running"><b>{j.name}</b><span class="cost">{j.text}</span>{j.of !== undefined && j.of > 0 && <progress max={j.of} value={j.done} aria-label={j.name} />}</div>
          ))}
        </Card>
      </div>
      <Card title="Timeline"><Timeline all={all} head={(own.data?.get('varve_tsdb_head_samples') ?? 0) > 0 ? (own.data?.get('varve_tsdb_epoch_age_seconds') ?? 0) * 1000 : 0} utc={utc} /></Card>
      <Card title="Partitions" aside={<span><span class="note">{done} </span><button type="button" onClick={() => void seal()}>Seal now</button></span>}>
        <Problem error={failed} />
        {all.length === 0 && <p class="empty">Nothing has been flushed yet: what arrived in the last minutes is in memory and in the log.</p>}
        {all.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Partitions">
          <table class="result">
            <thead><tr><th>Begins</th><th>Ends</th><th>State</th><th>Resolution</th><th>Generations</th><th>Series</th><th>Samples</th><th>Bytes</th><th>A sample</th><th class="timeline">Size</th></tr></thead>
            <tbody>
              {all.map((p) => (
                <tr key={p.key}>
                  <td>{formatTime(p.start, utc)}</td>
                  <td>{formatTime(p.end, utc)}</td>
                  <td>{p.states.map((s) => <em key={s} class={'state ' + s}>{s}</em>)}</td>
                  <td>{p.resolution}</td>
                  <td class="number">{p.blocks.length}</td>
                  <td class="number">{count(p.series)}</td>
                  <td class="number">{count(p.samples)}</td>
                  <td class="number">{formatNumber(p.bytes, 'bytes')}</td>
                  <td class="number">{p.samples > 0 ? (p.bytes / p.samples).toFixed(2) : ''}</td>
                  <td class="timeline"><div class="bar" style={{ width: `${(p.bytes / most) * 100}%` }} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>}
      </Card>
      <Retention />
      <Deletions />
    </>
  )
}

export interface Lane { resolution: string; bars: { key: string; state: string; left: number; width: number; title: string }[] }

// lanes place partitions on a line of time, in percent: one lane a resolution, the
// head at the end of the raw one.
export function lanes(all: Partition[], head: number, now: number, name: (ms: number) => string): Lane[] {
  const [from, to] = [Math.min(now - head, ...all.map((p) => p.start)), Math.max(now, ...all.map((p) => p.end))]
  const span = Math.max(1, to - from)
  const place = (start: number, end: number) => ({ left: ((start - from) / span) * 100, width: Math.max(0.4, ((end - start) / span) * 100) })
  const by = new Map<string, Lane>([['raw', { resolution: 'raw', bars: [] }]])
  for (const p of all) {
    if (!by.has(p.resolution)) by.set(p.resolution, { resolution: p.resolution, bars: [] })
    const state = p.resolution !== 'raw' ? 'downsampled' : p.states.includes('flushed') ? 'flushed' : p.states[0] ?? 'flushed'
    by.get(p.resolution)!.bars.push({
      key: p.key, state, ...place(p.start, p.end),
      title: `${name(p.start)} to ${name(p.end)}: ${state}, ${count(p.series)} series, ${count(p.samples)} samples, ${formatNumber(p.bytes, 'bytes')}`,
    })
  }
  if (head > 0) by.get('raw')!.bars.push({ key: 'head', state: 'head', ...place(now - head, now), title: `The last ${formatNumber(head / 1000, 'seconds')} are in memory and in the log` })
  return [...by.values()]
}

const barStates = ['head', 'flushed', 'sealed', 'downsampled']

function Timeline({ all, head, utc }: { all: Partition[]; head: number; utc: boolean }) {
  const now = Date.now()
  const name = (ms: number) => formatTime(Math.floor(ms / 1000) * 1000, utc)
  if (all.length === 0 && head === 0) return <p class="empty">Nothing is stored yet.</p>
  return (
    <div class="lanes">
      {lanes(all, head, now, name).map((lane) => (
        <div key={lane.resolution} class="lane">
          <span>{lane.resolution}</span>
          <div role="img" aria-label={`Partitions of resolution ${lane.resolution}: ${lane.bars.length}`}>
            {lane.bars.map((b) => <i key={b.key} class={b.state} style={{ left: `${b.left}%`, width: `${b.width}%` }} title={b.title} />)}
          </div>
        </div>
      ))}
      <div class="lane"><span /><div class="ends"><time>{name(Math.min(now - head, ...all.map((p) => p.start)))}</time><time>{name(now)}</time></div></div>
      <p class="note keys">{barStates.map((s) => <span key={s}><i class={s} /> {s === 'head' ? 'in memory' : s}</span>)}</p>
    </div>
  )
}

// Deletions asks for deletions, after a look at what would go, and lists them.
function Deletions() {
  const [utc] = useUTC()
  const [selector, setSelector] = useState('')
  const [from, setFrom] = useState('')
  const [to, setTo] = useState('')
  const [found, setFound] = useState<string | null>(null)
  const [failed, setFailed] = useState<Error | undefined>()
  const [busy, setBusy] = useState(false)
  const { data, error, again } = useData('deletions', (signal) => get<{ deletions: Deletion[] }>('admin/deletions', {}, signal)) // each call is audited
  const range = () => {
    const at = (text: string) => {
      if (text.trim() === '') return undefined
      const ms = parseTime(text, Date.now(), utc)
      if (ms === null) throw new ApiError(`“${text}” is not a time`, 'bad_data', 0)
      return ms / 1000
    }
    return { 'match[]': selector, start: at(from), end: at(to) }
  }
  const attempt = async (what: () => Promise<void>) => {
    setFailed(undefined)
    setBusy(true)
    try {
      await what()
    } catch (e) {
      setFailed(e as Error)
    }
    setBusy(false)
  }
  const look = () => attempt(async () => {
    const { data } = await post<Labels[]>('series', { ...range(), limit: 10001 })
    setFound(data.length > 10000 ? 'more than 10,000 series' : `${count(data.length)} series`)
  })
  const remove = () => attempt(async () => {
    await change('admin/tsdb/delete_series', range())
    setFound(null)
    again()
  })
  const edited = (set: (v: string) => void) => (e: { currentTarget: HTMLInputElement }) => { set(e.currentTarget.value); setFound(null) }
  if (error instanceof ApiError && error.status === 503) {
    return <Card title="Deletions"><p class="empty">Samples can be deleted when the server runs with --web.enable-admin-api.</p></Card>
  }
  return (
    <Card title="Deletions">
      <div class="toolbar">
        <label>Series <input value={selector} placeholder='up{job="old"}' spellcheck={false} onInput={edited(setSelector)} /></label>
        <label>From <input value={from} placeholder="the beginning" onInput={edited(setFrom)} /></label>
        <label>To <input value={to} placeholder="the end" onInput={edited(setTo)} /></label>
        <button type="button" disabled={busy || selector.trim() === ''} onClick={() => void look()}>What would go?</button>
        {found !== null && <button type="button" class="danger" disabled={busy} onClick={() => void remove()}>Delete samples of {found} for good</button>}
        {busy && <span class="spinner" role="status" aria-label="Working" />}
      </div>
      <Problem error={failed ?? error} />
      {(data?.deletions.length ?? 0) > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Deletions">
          <table class="result">
            <thead><tr><th>Asked</th><th>Series</th><th>State</th><th>Samples</th><th>Freed</th><th>Took</th></tr></thead>
            <tbody>
              {data!.deletions.toReversed().map((d) => (
                <tr key={d.asked + d.selectors.join()}>
                  <td>{formatTime(Math.floor(Date.parse(d.asked) / 1000) * 1000, utc)}</td>
                  <td><code>{d.selectors.join(' ')}</code></td>
                  <td><em class={'state ' + d.state} title={d.error}>{d.state}</em></td>
                  <td class="number">{count(d.samples)} of {count(d.series)} series</td>
                  <td class="number">{formatNumber(d.bytesFreed, 'bytes')}</td>
                  <td class="number">{formatNumber(d.seconds, 'seconds')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  )
}
