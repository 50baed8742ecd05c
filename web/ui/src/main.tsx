// The application: the frame with its navigation, and the page of the address.

import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { CardinalityPage } from './cardinality'
import { ExplorePage } from './explore'
import { QueriesPage } from './queries'
import { QueryPage } from './query'
import { formatRoute, pages, useRoute, type Page } from './route'
import { StatusPage } from './status'
import { StoragePage } from './storage'
import { TargetsPage } from './targets'
import { useTheme, useUTC, type Theme } from './store'
import './style.css'

const titles: Record<Page, string> = {
  query: 'Query', explore: 'Explore', cardinality: 'Cardinality', storage: 'Storage', queries: 'Queries', targets: 'Targets', status: 'Status',
}

function App() {
  const route = useRoute()
  const [theme, setTheme] = useTheme()
  const [utc, setUTC] = useUTC()
  useEffect(() => {
    document.documentElement.dataset.theme = theme
  }, [theme])
  useEffect(() => {
    document.title = `${titles[route.page]} · Varve`
  }, [route.page])
  return (
    <>
      <a class="skip" href="#content" onClick={(e) => { e.preventDefault(); document.getElementById('content')?.focus() }}>To the content</a>
      <header class="top">
        <a class="brand" href={formatRoute('query', new URLSearchParams())}>
          <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <g fill="none" stroke-width="5" stroke-linecap="round">
              <path stroke="#0e7490" d="M3 8c7-5 9 3 15 1s7-4 11-2" />
              <path stroke="#06b6d4" d="M3 17c7-5 9 3 15 1s7-4 11-2" />
              <path stroke="#f59e0b" d="M3 26c7-5 9 3 15 1s7-4 11-2" />
            </g>
          </svg>
          Varve
        </a>
        <nav aria-label="Pages">
          {pages.map((p) => <a key={p} href={formatRoute(p, new URLSearchParams())} aria-current={p === route.page ? 'page' : undefined}>{titles[p]}</a>)}
        </nav>
        <span class="spread" />
        <select aria-label="Time zone" value={utc ? 'utc' : 'local'} onChange={(e) => setUTC(e.currentTarget.value === 'utc')}>
          <option value="local">local time</option><option value="utc">UTC</option>
        </select>
        <select aria-label="Colours" value={theme} onChange={(e) => setTheme(e.currentTarget.value as Theme)}>
          <option value="system">as the system</option><option value="light">light</option><option value="dark">dark</option>
        </select>
      </header>
      <main id="content" tabIndex={-1}>
        <h1 class="unseen">{titles[route.page]}</h1>
        {route.page === 'query' && <QueryPage route={route} />}
        {route.page === 'explore' && <ExplorePage route={route} />}
        {route.page === 'cardinality' && <CardinalityPage />}
        {route.page === 'storage' && <StoragePage />}
        {route.page === 'queries' && <QueriesPage />}
        {route.page === 'targets' && <TargetsPage route={route} />}
        {route.page === 'status' && <StatusPage />}
      </main>
    </>
  )
}

render(<App />, document.getElementById('app')!)
