// The server's HTTP API. Addresses are relative, so that a route prefix works.

export type Labels = Record<string, string>
export type Point = [number, string]
export interface NativeHistogram { count: string; sum: string; buckets?: [number, string, string, string][] }
export type HistogramPoint = [number, NativeHistogram]
export interface Series { metric: Labels; values?: Point[]; histograms?: HistogramPoint[]; value?: Point; histogram?: HistogramPoint }

export interface Execution {
  executor: string; samples: number; samplesDecoded: number; bytesRead: number; seriesRead: number
  peakPoints: number; peakBytes: number; busySeconds: number; rows: number
}
// Operator is what an operator of the plan took, and those below it.
export interface Operator { operator: string; expr: string; execution?: Record<string, number>; children?: Operator[] }

export interface Stats {
  timings: { execTotalTime: number; queryPreparationTime: number; innerEvalTime: number; execQueueTime: number }
  samples: { totalQueryableSamples: number; peakSamples: number; seriesTouched?: number }
  storage?: { series: number; chunkBytes: number }
  execution?: Execution
  operators?: Operator
}
export interface QueryData { resultType: 'matrix' | 'vector' | 'scalar' | 'string'; result: Series[] | Point; stats?: Stats }
export interface Reply<T> { data: T; warnings?: string[]; infos?: string[] }

export interface PlanNode {
  operator: string; expr: string; executor: string; children?: PlanNode[]; stats?: Record<string, number>
  grid?: { steps: number; step: number }
  selector?: { resolution: string; series: number; from: number; to: number }
  execution?: Record<string, number>
}
export interface Explanation { expr: string; executor: string; rules: { rule?: string; name?: string }[]; plan: PlanNode }

export interface Metadata { type: string; unit: string; help: string }
export interface NameValue { name: string; value: number }
export interface Cardinality {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number }
  seriesCountByMetricName: NameValue[]; labelValueCountByLabelName: NameValue[]
  memoryInBytesByLabelName: NameValue[]; seriesCountByLabelValuePair: NameValue[]
  churn?: {
    since: string; seriesCreated: number
    seriesCreatedByMetricName: NameValue[]; valuesCreatedByLabelName: NameValue[]; seriesCreatedByLabelValuePair: NameValue[]
  }
}
// sums adds up the series of each metric of a text exposition.
export function sums(text: string): Map<string, number> {
  const all = new Map<string, number>()
  for (const line of text.split('\n')) {
    const name = /^[a-zA-Z_:][\w:]*/.exec(line)?.[0]
    const value = Number(line.slice(line.lastIndexOf(' ') + 1))
    if (name && Number.isFinite(value)) all.set(name, (all.get(name) ?? 0) + value)
  }
  return all
}

export interface Block {
  id: string; tenant: number; generation: number; state: string; minTime: number; maxTime: number; resolution?: string
  stats: { numSamples: number; numSeries: number; numExemplars: number; numFlushes: number; chunkBytes: number; numBytes: number }
  metrics?: { name: string; numSeries: number; numSamples: number; numBytes: number }[]
}
export interface Deletion {
  asked: string; selectors: string[]; minTime: number; maxTime: number; state: string; error?: string
  series: number; samples: number; bytesFreed: number; seconds: number
}
// RetentionReport is what retention would remove; the last of its policies is about all
// series that no other is about.
export interface RetentionReport {
  asOf: string
  policies: { tenant?: string; match?: string[]; resolution: string; keep: string; partitions: number; series: number; samples: number; bytesEstimated: number }[]
  size: { limit: number; partitions: number; bytes: number }
}
export interface ActiveQuery { id: string | number; query: string; started?: string; seconds?: number; [more: string]: unknown }
export interface LedgerEntry {
  query: string; lastQuery: string; count: number; errors: number; seconds: number; maxSeconds: number; cpuSeconds: number
  samples: number; bytes: number; series: number; lastSeen: string; dashboard?: string; panel?: string; rule?: string
}
export interface Target {
  labels: Labels; scrapePool: string; scrapeUrl: string; health: string; lastError: string; lastScrape: string; lastScrapeDuration: number
}
export interface ExemplarSeries { seriesLabels: Labels; exemplars: { labels: Labels; value: string; timestamp: number }[] }

// ApiError is a refusal in the server's words.
export class ApiError extends Error {
  constructor(message: string, readonly kind: string, readonly status: number) {
    super(message)
  }
}

const base = './api/v1/'

async function read<T>(response: Response): Promise<Reply<T>> {
  const text = await response.text()
  let body: { status?: string; data?: T; error?: string; errorType?: string; warnings?: string[]; infos?: string[] }
  try {
    body = JSON.parse(text)
  } catch {
    throw new ApiError(text.slice(0, 300) || `the server answered ${response.status}`, 'unreadable', response.status)
  }
  if (body.status !== 'success') throw new ApiError(body.error ?? `the server answered ${response.status}`, body.errorType ?? 'unknown', response.status)
  return { data: body.data as T, warnings: body.warnings, infos: body.infos }
}

type Parameters = Record<string, string | number | string[] | undefined>

function form(parameters: Parameters): URLSearchParams {
  const f = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === '') continue
    for (const v of Array.isArray(value) ? value : [value]) f.append(name, String(v))
  }
  return f
}

export async function get<T>(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<Reply<T>> {
  const query = form(parameters).toString()
  return read<T>(await fetch(base + path + (query ? '?' + query : ''), { signal }))
}

// post asks with the parameters in the body, which may be long.
export async function post<T>(path: string, parameters: Parameters, signal?: AbortSignal): Promise<Reply<T>> {
  return read<T>(await fetch(base + path, { method: 'POST', body: form(parameters), signal }))
}

// postText asks with a body that is a text of its own.
export async function postText<T>(path: string, body: string): Promise<Reply<T>> {
  return read<T>(await fetch(base + path, { method: 'POST', body, headers: { 'Content-Type': 'application/yaml' } }))
}

// metrics are the sums of the node's own metrics, as it exposes them.
export async function metrics(signal?: AbortSignal): Promise<Reply<Map<string, number>>> {
  const response = await fetch('./metrics', { signal })
  if (!response.ok) await read(response)
  return { data: sums(await response.text()) }
}

// change asks for something that is answered without content.
export async function change(path: string, parameters: Parameters): Promise<void> {
  const response = await fetch(base + path, { method: 'POST', body: form(parameters) })
  if (!response.ok) await read(response)
}

export async function remove(path: string, parameters: Parameters): Promise<void> {
  const response = await fetch(base + path + '?' + form(parameters), { method: 'DELETE' })
  if (!response.ok) await read(response)
}

export const queryRange = (query: string, start: number, end: number, step: number, signal?: AbortSignal) =>
  post<QueryData>('query_range', { query, start: start / 1000, end: end / 1000, step, stats: 'all' }, signal)

export const queryInstant = (query: string, time: number, signal?: AbortSignal) =>
  post<QueryData>('query', { query, time: time / 1000, stats: 'all', limit: 10000 }, signal)

export const explain = (query: string, start: number, end: number, step: number, signal?: AbortSignal) =>
  get<Explanation>('query_explain', { query, start: start / 1000, end: end / 1000, step }, signal)
