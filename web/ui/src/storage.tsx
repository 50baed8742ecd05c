// The storage page: what is on disk, by time, and how well it is packed.

import { get, post, type Block } from './api'
import { count, formatNumber } from './format'
import { Card, Facts, Problem, useData } from './parts'
import { useUTC } from './store'
import { formatTime } from './time'
import { useState } from 'preact/hooks'

export interface Partition { key: string; start: number; end: number; blocks: Block[]; samples: number; series: number; bytes: number; states: string[] }

// partitions groups generations by their window, which begins their names: tenant,
// resolution, start and shard, in 30 hexadecimal digits.
export function partitions(blocks: Block[]): Partition[] {
  const all = new Map<string, Partition>()
  for (const b of blocks) {
    const key = b.id.slice(0, 30)
    let p = all.get(key)
    if (!p) all.set(key, (p = { key, start: b.minTime, end: b.maxTime, blocks: [], samples: 0, series: 0, bytes: 0, states: [] }))
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
      ]} />
      <Card title="Partitions" aside={<span><span class="note">{done} </span><button type="button" onClick={() => void seal()}>Seal now</button></span>}>
        <Problem error={failed} />
        {all.length === 0 && <p class="empty">Nothing has been flushed yet: what arrived in the last minutes is in memory and in the log.</p>}
        <div class="scroll" tabIndex={0} role="region" aria-label="Partitions">
          <table class="result">
            <thead><tr><th>Begins</th><th>Ends</th><th>State</th><th>Generations</th><th>Series</th><th>Samples</th><th>Bytes</th><th>A sample</th><th class="timeline">Size</th></tr></thead>
            <tbody>
              {all.map((p) => (
                <tr key={p.key}>
                  <td>{formatTime(p.start, utc)}</td>
                  <td>{formatTime(p.end, utc)}</td>
                  <td>{p.states.map((s) => <em key={s} class={'state ' + s}>{s}</em>)}</td>
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
        </div>
      </Card>
    </>
  )
}
