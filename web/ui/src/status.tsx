// The status page: which program runs and with which limits and settings.

import { get } from './api'
import { formatNumber } from './format'
import { Card, Facts, Problem, useData } from './parts'
import { useUTC } from './store'
import { formatTime } from './time'

type Facts = Record<string, string | number | boolean>

export function StatusPage() {
  const [utc] = useUTC()
  const build = useData('build', (signal) => get<Facts>('status/buildinfo', {}, signal))
  const run = useData('runtime', (signal) => get<Facts>('status/runtimeinfo', {}, signal), 10000)
  const config = useData('config', (signal) => get<{ yaml: string }>('status/config', {}, signal))
  const flags = useData('flags', (signal) => get<Record<string, string>>('status/flags', {}, signal))
  const settings = Object.entries(flags.data ?? {}).sort()
  const r = run.data
  const when = (v: unknown) => (v ? formatTime(Math.floor(Date.parse(String(v)) / 1000) * 1000, utc) : '–')
  return (
    <>
      <Problem error={run.error ?? build.error} />
      {r && <Facts rows={[
        ['Version', String(build.data?.varveVersion ?? '')], ['Started', when(r.startTime)], ['Go', String(build.data?.goVersion ?? '')],
        ['Processors', String(r.GOMAXPROCS)], ['Memory limit', formatNumber(Number(r.GOMEMLIMIT), 'bytes')], ['Goroutines', String(r.goroutineCount)],
        ['Retention', String(r.storageRetention)], ['Configuration', r.reloadConfigSuccess ? `read ${when(r.lastConfigTime)}` : 'the last reload failed'],
        ['Damage found', String(r.corruptionCount)],
      ]} />}
      <div class="columns">
        <Card title="Configuration"><Problem error={config.error} /><pre class="json" tabIndex={0}>{config.data?.yaml}</pre></Card>
        <Settings title="Limits" rows={settings.filter(([name]) => isLimit(name))} />
        <Settings title="Other settings" rows={settings.filter(([name]) => !isLimit(name))} />
      </div>
    </>
  )
}

// isLimit tells the settings that bound something from the others.
export const isLimit = (name: string) => /(^|[.-])(max|min)(-|$)|timeout|^retention\.|reserve|bound|queue-wait|storage\.memory/.test(name)

function Settings({ title, rows }: { title: string; rows: [string, string][] }) {
  return (
    <Card title={title}>
      <div class="scroll" tabIndex={0} role="region" aria-label={title}>
        <table class="result"><tbody>{rows.map(([k, v]) => <tr key={k}><td><code>{k}</code></td><td>{v}</td></tr>)}</tbody></table>
      </div>
    </Card>
  )
}
