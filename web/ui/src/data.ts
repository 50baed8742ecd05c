// From answers to what a chart draws.

import type { Labels, NativeHistogram, Series } from './api'
import { seriesName } from './format'

// Line is a series on the grid of a chart: null where it has no point.
export interface Line { name: string; labels: Labels; values: (number | null)[] }

export const parseValue = (text: string): number => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text))

// grid returns the times of a range query, in seconds.
export function grid(startMs: number, endMs: number, step: number): number[] {
  const times: number[] = []
  for (let t = startMs; t <= endMs + 0.5; t += step * 1000) times.push(t / 1000)
  return times
}

const index = (t: number, times: number[], step: number) => Math.round((t - times[0]) / step)

// lines places series on the grid.
export function lines(result: Series[], times: number[], step: number): Line[] {
  return result.map((s) => {
    const values: (number | null)[] = new Array(times.length).fill(null)
    for (const [t, text] of s.values ?? []) values[index(t, times, step)] = finite(parseValue(text))
    for (const [t, h] of s.histograms ?? []) values[index(t, times, step)] = finite(parseValue(h.count))
    return { name: seriesName(s.metric), labels: s.metric, values }
  })
}

const finite = (v: number) => (Number.isFinite(v) ? v : null)

// stack adds each line to the sum of those before it.
export function stack(drawn: Line[]): Line[] {
  const sums: number[] = []
  return drawn.map((line) => ({
    ...line,
    values: line.values.map((v, i) => {
      if (v !== null) sums[i] = (sums[i] ?? 0) + v
      return sums[i] ?? null
    }),
  }))
}

// Heatmap counts, per step, how much fell between neighbouring bounds.
export interface Heatmap { bounds: number[]; counts: Float64Array[]; max: number }

// classicHeatmap reads series with a label le: cumulative counts by upper bound.
// Series of the same bound are added.
export function classicHeatmap(result: Series[], times: number[], step: number): Heatmap | null {
  const byBound = new Map<number, Float64Array>()
  for (const s of result) {
    if (s.metric.le === undefined) return null
    const bound = parseValue(s.metric.le)
    let row = byBound.get(bound)
    if (!row) byBound.set(bound, (row = new Float64Array(times.length)))
    for (const [t, text] of s.values ?? []) row[index(t, times, step)] += finite(parseValue(text)) ?? 0
  }
  const uppers = [...byBound.keys()].sort((a, b) => a - b)
  if (uppers.length < 2) return null
  const counts = uppers.map((upper, i) => {
    const row = byBound.get(upper)!
    const below = i > 0 ? byBound.get(uppers[i - 1])! : null
    return row.map((v, j) => Math.max(0, v - (below?.[j] ?? 0)))
  })
  const first = uppers[0] > 0 ? 0 : uppers[0] - (uppers[1] - uppers[0])
  return withMax([first, ...uppers], counts)
}

// nativeHeatmap reads native histograms, whose buckets may differ by step. Each
// is spread over the union of all bounds.
export function nativeHeatmap(result: Series[], times: number[], step: number): Heatmap | null {
  const all: [number, NativeHistogram][] = result.flatMap((s) => s.histograms ?? [])
  const bounds = [...new Set(all.flatMap(([, h]) => (h.buckets ?? []).flatMap((b) => [parseValue(b[1]), parseValue(b[2])])))].sort((a, b) => a - b)
  if (bounds.length < 2) return null
  const place = new Map(bounds.map((b, i) => [b, i]))
  const counts = bounds.slice(1).map(() => new Float64Array(times.length))
  for (const [t, h] of all) {
    for (const [, lower, upper, n] of h.buckets ?? []) {
      const from = place.get(parseValue(lower))!
      const to = place.get(parseValue(upper))!
      const share = parseValue(n) / Math.max(1, to - from)
      for (let i = from; i < to; i++) counts[i][index(t, times, step)] += share
    }
  }
  return withMax(bounds, counts)
}

function withMax(bounds: number[], counts: Float64Array[]): Heatmap {
  let max = 0
  for (const row of counts) for (const v of row) max = Math.max(max, v)
  return { bounds, counts, max }
}

export function heatmap(result: Series[], times: number[], step: number): Heatmap | null {
  return result.some((s) => s.histograms) ? nativeHeatmap(result, times, step) : classicHeatmap(result, times, step)
}

// matches scores how well a name fits what was typed: letters in order, better
// when they are together and at the start of words; null when they are not there.
export function matches(name: string, typed: string): number | null {
  const text = name.toLowerCase()
  const at = text.indexOf(typed.toLowerCase())
  if (at >= 0) return 1000 - at - text.length / 100 + (at === 0 || /[_:. ]/.test(text[at - 1]) ? 100 : 0)
  let score = 0
  let from = 0
  for (const letter of typed.toLowerCase()) {
    if (letter === ' ') continue
    const i = text.indexOf(letter, from)
    if (i < 0) return null
    score += i === from ? 5 : i === 0 || /[_:. ]/.test(text[i - 1]) ? 4 : 1
    from = i + 1
  }
  return score - text.length / 100
}
