// What retention would remove: by the policies in force, or by others before they are.

import { postText, type RetentionReport } from './api'
import { count, formatNumber } from './format'
import { Card, Problem } from './parts'
import { useUTC } from './store'
import { formatTime } from './time'
import { useState } from 'preact/hooks'

// subject says in words what a policy is about.
export function subject(r: RetentionReport, i: number): string {
  const p = r.policies[i]!
  const of = p.tenant ? ` of tenant ${p.tenant}` : ''
  const at = p.resolution === 'any' ? '' : ` at resolution ${p.resolution}`
  const last = i === r.policies.length - 1
  return (last ? (i === 0 ? 'all series' : 'all others') : p.match?.join(' ') || 'all series') + of + at
}

// total is what all policies and the limit of bytes remove together.
export function total(r: RetentionReport): string {
  const sum = (f: (p: RetentionReport['policies'][number]) => number) => r.policies.reduce((n, p) => n + f(p), 0)
  const samples = sum((p) => p.samples)
  const age = samples === 0 ? 'Nothing is old enough to go' : `${count(samples)} samples would go, about ${formatNumber(sum((p) => p.bytesEstimated), 'bytes')}`
  if (r.size.limit === 0) return age + '.'
  const limit = `the limit of ${formatNumber(r.size.limit, 'bytes')}`
  return `${age}; ` + (r.size.partitions === 0 ? `${limit} removes nothing besides.` : `for ${limit} ${count(r.size.partitions)} partitions besides, ${formatNumber(r.size.bytes, 'bytes')}.`)
}

// Retention asks and changes nothing: neither samples nor policies.
export function Retention() {
  const [utc] = useUTC()
  const [text, setText] = useState('')
  const [report, setReport] = useState<RetentionReport | undefined>()
  const [failed, setFailed] = useState<Error | undefined>()
  const [busy, setBusy] = useState(false)
  const ask = async (policies: string) => {
    setFailed(undefined)
    setReport(undefined)
    setBusy(true)
    try {
      setReport((await postText<RetentionReport>('admin/retention/dry_run', policies)).data)
    } catch (e) {
      setFailed(e as Error)
    }
    setBusy(false)
  }
  return (
    <Card title="Retention">
      <div class="toolbar">
        <button type="button" disabled={busy} onClick={() => void ask('')}>What would go now?</button>
        <label class="policies">Other policies
          <textarea rows={3} value={text} placeholder={'- {match: up, keep: 7d}'} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} />
        </label>
        <button type="button" disabled={busy || text.trim() === ''} onClick={() => void ask(text)}>What would go by these?</button>
        {busy && <span class="spinner" role="status" aria-label="Working" />}
      </div>
      <Problem error={failed} />
      {report && <>
        <p class="note" role="status">As of {formatTime(Math.floor(Date.parse(report.asOf) / 1000) * 1000, utc)}: {total(report)} This was a look only.</p>
        <div class="scroll" tabIndex={0} role="region" aria-label="Retention">
          <table class="result">
            <thead><tr><th>Policy</th><th>Keeps</th><th>Partitions</th><th>Series</th><th>Samples</th><th>Bytes, about</th></tr></thead>
            <tbody>
              {report.policies.map((p, i) => (
                <tr key={i}>
                  <td><code>{subject(report, i)}</code></td>
                  <td>{p.keep}</td>
                  <td class="number">{count(p.partitions)}</td>
                  <td class="number">{count(p.series)}</td>
                  <td class="number">{count(p.samples)}</td>
                  <td class="number">{formatNumber(p.bytesEstimated, 'bytes')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </>}
    </Card>
  )
}
