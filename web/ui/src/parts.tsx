// Small pieces that several pages use.

import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiError, type Reply } from './api'
import { count } from './format'

// useData loads when its key changes, and again every so many milliseconds.
export function useData<T>(key: string, load: (signal: AbortSignal) => Promise<Reply<T>>, every = 0): { data?: T; error?: Error; loading: boolean; again(): void } {
  const [state, setState] = useState<{ data?: T; error?: Error; loading: boolean }>({ loading: true })
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const run = async () => {
      try {
        const { data } = await load(control.signal)
        setState({ data, loading: false })
      } catch (error) {
        if (control.signal.aborted) return
        setState((s) => ({ ...s, error: error as Error, loading: false }))
      }
      if (every > 0 && !control.signal.aborted) timer = setTimeout(run, every)
    }
    setState((s) => ({ ...s, loading: true }))
    void run()
    return () => {
      control.abort()
      clearTimeout(timer)
    }
  }, [key, turn, every])
  return { ...state, again: () => setTurn((n) => n + 1) }
}

export function Problem({ error }: { error?: Error }) {
  if (!error) return null
  const kind = error instanceof ApiError ? error.kind : 'network'
  return (
    <div class="problem" role="alert">
      <b>{kind === 'bad_data' ? 'The server does not understand this' : kind === 'network' ? 'No answer' : kind}</b>
      <span>{error.message}</span>
    </div>
  )
}

export function Card({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="card">
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  )
}

// Bars lists names with amounts, the largest first as they come, drawn as bars.
export function Bars({ rows, unit, onPick }: { rows: { name: string; value: number; text?: string }[]; unit: string; onPick?(name: string): void }) {
  const most = Math.max(1, ...rows.map((r) => r.value))
  if (rows.length === 0) return <p class="empty">Nothing here yet.</p>
  return (
    <table class="bars">
      <thead class="unseen"><tr><th>Name</th><th>{unit}</th></tr></thead>
      <tbody>
        {rows.map((r) => (
          <tr key={r.name}>
            <td>
              <div class="bar" style={{ width: `${(r.value / most) * 100}%` }} />
              {onPick ? <button type="button" class="link" onClick={() => onPick(r.name)}>{r.name}</button> : <span>{r.name}</span>}
            </td>
            <td class="number" title={unit}>{r.text ?? count(r.value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export function download(name: string, type: string, text: string) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}
