// The targets page: what this server scrapes, and how that goes.

import { get, type Target } from './api'
import { formatNumber } from './format'
import { Card, Facts, Problem, useData } from './parts'
import { replaceRoute, type Route } from './route'
import { useUTC } from './store'
import { formatTime } from './time'
import { useState } from 'preact/hooks'

// chosen are the targets with a health and a text in their address or labels,
// those in trouble first.
export function chosen(all: Target[], health: string, text: string): Target[] {
  const wanted = text.toLowerCase()
  const has = (t: Target) => `${t.scrapePool} ${t.scrapeUrl} ${t.lastError} ${Object.entries(t.labels).map(([k, v]) => `${k}=${v}`).join(' ')}`.toLowerCase().includes(wanted)
  const trouble = (t: Target) => (t.health === 'down' ? 0 : t.health === 'up' ? 2 : 1)
  return all
    .filter((t) => (health === '' || t.health === health) && has(t))
    .sort((a, b) => trouble(a) - trouble(b) || a.scrapePool.localeCompare(b.scrapePool) || a.scrapeUrl.localeCompare(b.scrapeUrl))
}

export function TargetsPage({ route }: { route: Route }) {
  const [utc] = useUTC()
  const [health, setHealth] = useState(route.parameters.get('health') ?? '')
  const [text, setText] = useState(route.parameters.get('search') ?? '')
  const { data, error } = useData('targets', (signal) => get<{ activeTargets: Target[] }>('targets', { state: 'active' }, signal), 5000)
  const all = data?.activeTargets ?? []
  const show = (h: string, t: string) => {
    setHealth(h)
    setText(t)
    replaceRoute('targets', new URLSearchParams({ ...(h && { health: h }), ...(t && { search: t }) }))
  }
  const when = (v: string) => (v && !v.startsWith('0001') ? formatTime(Math.floor(Date.parse(v) / 1000) * 1000, utc) : 'not yet')
  const of = (h: string) => String(all.filter((t) => t.health === h).length)
  const shown = chosen(all, health, text)
  return (
    <>
      <Problem error={error} />
      <Facts rows={[['Targets', String(all.length)], ['Up', of('up')], ['Down', of('down')], ['Not yet scraped', of('unknown')]]} />
      <Card title="Targets" aside={
        <span class="toolbar slim">
          <select aria-label="Health" value={health} onChange={(e) => show(e.currentTarget.value, text)}>
            <option value="">any health</option><option value="up">up</option><option value="down">down</option><option value="unknown">unknown</option>
          </select>
          <input aria-label="Search targets" placeholder="address, label, error" value={text} onInput={(e) => show(health, e.currentTarget.value)} />
        </span>}>
        {data && all.length === 0 && <p class="empty">This server scrapes nothing itself: it takes what is sent to it, and stores its own metrics. Targets are named in its configuration, under scrape_configs.</p>}
        {all.length > 0 && shown.length === 0 && <p class="empty">No target is like that.</p>}
        {shown.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Targets">
            <table class="result">
              <thead><tr><th>Job</th><th>Address</th><th>Health</th><th>Last scrape</th><th>Took</th><th>Labels</th><th>Error</th></tr></thead>
              <tbody>
                {shown.map((t) => (
                  <tr key={t.scrapePool + t.scrapeUrl + JSON.stringify(t.labels)}>
                    <td>{t.scrapePool}</td><td>{t.scrapeUrl}</td><td><em class={'state ' + t.health}>{t.health}</em></td>
                    <td>{when(t.lastScrape)}</td><td class="number">{formatNumber(t.lastScrapeDuration, 'seconds')}</td>
                    <td>{Object.entries(t.labels).map(([k, v]) => <code key={k} class="label">{k}="{v}"</code>)}</td><td>{t.lastError}</td>
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
