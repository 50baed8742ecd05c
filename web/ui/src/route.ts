// The state of a page is in the address, so that a link shows the same again.

import { useEffect, useState } from 'preact/hooks'

export type Page = 'query' | 'explore' | 'cardinality' | 'storage' | 'queries' | 'targets' | 'status'
export const pages: Page[] = ['query', 'explore', 'cardinality', 'storage', 'queries', 'targets', 'status']

export interface Route { page: Page; parameters: URLSearchParams }

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const page = pages.find((p) => p === path) ?? 'query'
  return { page, parameters: new URLSearchParams(query) }
}

export function formatRoute(page: Page, parameters: URLSearchParams): string {
  const query = parameters.toString()
  return `#/${page}${query ? '?' + query : ''}`
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  useEffect(() => {
    const changed = () => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return route
}

// replaceRoute changes the address without a new entry in the history.
export function replaceRoute(page: Page, parameters: URLSearchParams) {
  history.replaceState(null, '', formatRoute(page, parameters))
}

export type View = 'graph' | 'table' | 'plan' | 'json'
export type Drawing = 'lines' | 'stacked' | 'heatmap'
export interface Panel { expr: string; view: View; drawing: Drawing; unit: string; exemplars: boolean }
export interface QueryState { panels: Panel[]; from: string; to: string; step: string; refresh: string }

export const newPanel = (expr = ''): Panel => ({ expr, view: 'graph', drawing: 'lines', unit: '', exemplars: false })

// first is what someone sees who has asked nothing yet: the server itself.
export const first = (): QueryState => ({
  panels: [newPanel('sum by (route) (rate(varve_server_requests_total[1m]))'), newPanel('go_memstats_heap_inuse_bytes')],
  from: 'now-15m', to: 'now', step: '', refresh: '10s',
})

const views: View[] = ['graph', 'table', 'plan', 'json']
const drawings: Drawing[] = ['lines', 'stacked', 'heatmap']

// decodeQuery reads the query page's state.
export function decodeQuery(p: URLSearchParams): QueryState {
  const panels: Panel[] = []
  for (let i = 0; p.has(`e${i}`) && i < 50; i++) {
    panels.push({
      expr: p.get(`e${i}`) ?? '',
      view: views.find((v) => v === p.get(`v${i}`)) ?? 'graph',
      drawing: drawings.find((d) => d === p.get(`d${i}`)) ?? 'lines',
      unit: p.get(`u${i}`) ?? '',
      exemplars: p.get(`x${i}`) === '1',
    })
  }
  return {
    panels: panels.length > 0 ? panels : [newPanel()],
    from: p.get('from') ?? 'now-1h', to: p.get('to') ?? 'now', step: p.get('step') ?? '', refresh: p.get('refresh') ?? '',
  }
}

// encodeQuery is the inverse of decodeQuery. What is at its default is left out.
export function encodeQuery(s: QueryState): URLSearchParams {
  const p = new URLSearchParams()
  s.panels.forEach((panel, i) => {
    p.set(`e${i}`, panel.expr)
    if (panel.view !== 'graph') p.set(`v${i}`, panel.view)
    if (panel.drawing !== 'lines') p.set(`d${i}`, panel.drawing)
    if (panel.unit !== '') p.set(`u${i}`, panel.unit)
    if (panel.exemplars) p.set(`x${i}`, '1')
  })
  if (s.from !== 'now-1h') p.set('from', s.from)
  if (s.to !== 'now') p.set('to', s.to)
  if (s.step !== '') p.set('step', s.step)
  if (s.refresh !== '') p.set('refresh', s.refresh)
  return p
}
