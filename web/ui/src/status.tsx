// The status page: which program runs, with which settings, and what it scrapes.

import { get, type Target } from './api'
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
  const targets = useData('targets', (signal) => get<{ activeTargets: Target[] }>('targets', { state: 'active' }, signal), 10000)
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
      <Card title="Targets">
        <Problem error={targets.error} />
        {targets.data?.activeTargets.length === 0 && <p class="empty">This server scrapes nothing itself: it takes what is sent to it, and stores its own metrics.</p>}
        {(targets.data?.activeTargets.length ?? 0) > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Targets">
            <table class="result">
              <thead><tr><th>Job</th><th>Address</th><th>Health</th><th>Last scrape</th><th>Took</th><th>Error</th></tr></thead>
              <tbody>
                {targets.data!.activeTargets.map((t) => (
                  <tr key={t.scrapePool + t.scrapeUrl + JSON.stringify(t.labels)}>
                    <td>{t.scrapePool}</td><td>{t.scrapeUrl}</td><td><em class={'state ' + t.health}>{t.health}</em></td>
                    <td>{when(t.lastScrape)}</td><td class="number">{formatNumber(t.lastScrapeDuration, 'seconds')}</td><td>{t.lastError}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Card>
      <div class="columns">
        <Card title="Configuration"><Problem error={config.error} /><pre class="json" tabIndex={0}>{config.data?.yaml}</pre></Card>
        <Card title="Settings">
          <div class="scroll" tabIndex={0} role="region" aria-label="Settings">
            <table class="result"><tbody>{Object.entries(flags.data ?? {}).sort().map(([k, v]) => <tr key={k}><td><code>{k}</code></td><td>{v}</td></tr>)}</tbody></table>
          </div>
        </Card>
      </div>
    </>
  )
}
