// The queries page: what runs now, and what queries have cost.

import { useState } from 'preact/hooks'
import { get, remove, type ActiveQuery, type LedgerEntry } from './api'
import { count, formatNumber } from './format'
import { Card, Problem, useData } from './parts'

const orders = { cpuSeconds: 'processor time', seconds: 'time', samples: 'samples', bytes: 'bytes', count: 'times asked' } as const
type Order = keyof typeof orders

export function QueriesPage() {
  const active = useData('active', (signal) => get<{ queries: ActiveQuery[] }>('status/active_queries', {}, signal), 1000)
  const ledger = useData('ledger', (signal) => get<{ entries: LedgerEntry[]; total: number }>('status/query_ledger', { limit: 200 }, signal), 10000)
  const [order, setOrder] = useState<Order>('cpuSeconds')
  const [failed, setFailed] = useState<Error | undefined>()
  const end = async (id: string | number) => {
    try {
      await remove('status/active_queries', { id: String(id) })
      active.again()
    } catch (e) {
      setFailed(e as Error)
    }
  }
  const entries = [...(ledger.data?.entries ?? [])].sort((a, b) => b[order] - a[order])
  return (
    <>
      <Card title="Running now" aside={<span class="note">{active.data?.queries.length ?? 0}</span>}>
        <Problem error={active.error ?? failed} />
        {active.data?.queries.length === 0 && <p class="empty">No query runs at the moment.</p>}
        {(active.data?.queries ?? []).map((q) => (
          <div key={q.id} class="running">
            <code>{q.query}</code>
            <span class="cost">{String(q.phase)} · {formatNumber(Number(q.ageSeconds), 'seconds')} · {count(Number(q.samples ?? 0))} samples · {String(q.client ?? '')} {String(q.user ?? '')} {String(q.dashboard ?? '')}</span>
            {Number(q.seriesTotal) > 0 && <progress max={Number(q.seriesTotal)} value={Number(q.seriesDone)} aria-label="Series done" />}
            <button type="button" class="danger" onClick={() => void end(q.id)}>End</button>
          </div>
        ))}
      </Card>
      <Card title="What queries have cost" aside={
        <label>By <select value={order} onChange={(e) => setOrder(e.currentTarget.value as Order)}>{Object.entries(orders).map(([k, name]) => <option key={k} value={k}>{name}</option>)}</select></label>}>
        <Problem error={ledger.error} />
        {entries.length === 0 && <p class="empty">No query has run yet.</p>}
        {entries.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Ledger">
            <table class="result">
              <thead><tr><th>Query</th><th>Asked by</th><th>Times</th><th>Errors</th><th>Processor</th><th>Time</th><th>Longest</th><th>Samples</th><th>Read</th></tr></thead>
              <tbody>
                {entries.map((e) => (
                  <tr key={e.query + (e.dashboard ?? '') + (e.panel ?? '') + (e.rule ?? '')}>
                    <td><code title={e.lastQuery}>{e.query}</code></td>
                    <td>{[e.dashboard && `dashboard ${e.dashboard}`, e.panel && `panel ${e.panel}`, e.rule && `rule ${e.rule}`].filter(Boolean).join(', ')}</td>
                    <td class="number">{count(e.count)}</td>
                    <td class="number">{e.errors > 0 ? count(e.errors) : ''}</td>
                    <td class="number">{formatNumber(e.cpuSeconds, 'seconds')}</td>
                    <td class="number">{formatNumber(e.seconds, 'seconds')}</td>
                    <td class="number">{formatNumber(e.maxSeconds, 'seconds')}</td>
                    <td class="number">{formatNumber(e.samples, 'short')}</td>
                    <td class="number">{formatNumber(e.bytes, 'bytes')}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Card>
    </>
  )
}
