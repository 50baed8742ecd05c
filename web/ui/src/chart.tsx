// The graph of a panel: lines, stacked areas or a heatmap, on one time axis.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { ExemplarSeries } from './api'
import { stack, type Heatmap, type Line } from './data'
import { formatNumber, seriesName, type Unit } from './format'
import { formatTime } from './time'
import type { Drawing } from './route'

const palette = [
  '#0891b2', '#f59e0b', '#8b5cf6', '#10b981', '#ef4444', '#3b82f6', '#ec4899', '#84cc16', '#f97316', '#14b8a6',
  '#a855f7', '#eab308', '#06b6d4', '#f43f5e', '#22c55e', '#6366f1', '#d946ef', '#65a30d', '#fb923c', '#0ea5e9',
]
export const colour = (i: number) => palette[i % palette.length]

export const linesMax = 400

interface Props {
  times: number[]
  lines: Line[]
  heat: Heatmap | null
  drawing: Drawing
  unit: Unit
  utc: boolean
  dark: boolean
  exemplars: ExemplarSeries[]
  onZoom(from: number, to: number): void
  onPan(share: number): void
}

// The marks of the time axis: seconds between them, their text, and the text that
// goes below at the start, a new year, a new day and a new minute.
const marks: uPlot.Axis.Values = [
  [365 * 86400, '{YYYY}', null, null, null, null, null, null, 1],
  [28 * 86400, '{YYYY}-{MM}', null, null, null, null, null, null, 1],
  [86400, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{YYYY}-{MM}-{DD}', null, '\n{YYYY}-{MM}-{DD}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{YYYY}-{MM}-{DD}', null, '\n{YYYY}-{MM}-{DD}', null, null, null, 1],
  [0.001, '{ss}.{fff}', '\n{YYYY}-{MM}-{DD} {HH}:{mm}', null, null, null, '\n{HH}:{mm}', null, 1],
]

const powersOfTwo = Array.from({ length: 60 }, (_, i) => 2 ** i)

interface Dot { time: number; value: number; text: string }

function dots(exemplars: ExemplarSeries[]): Dot[] {
  return exemplars.flatMap((s) =>
    s.exemplars.map((e) => ({ time: e.timestamp, value: Number(e.value), text: `${seriesName(s.seriesLabels)}\n${seriesName(e.labels)}` })),
  )
}

const cssColour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

// shade mixes the colours of a scale; share is between 0 and 1.
function shade(share: number, dark: boolean): string {
  const scale = dark
    ? [[13, 52, 64], [8, 145, 178], [250, 190, 60], [255, 247, 214]]
    : [[214, 240, 247], [56, 176, 205], [180, 83, 9], [69, 10, 10]]
  const at = Math.min(share, 0.999) * (scale.length - 1)
  const i = Math.floor(at)
  const mixed = scale[i].map((c, k) => Math.round(c + (scale[i + 1][k] - c) * (at - i)))
  return `rgb(${mixed.join(' ')})`
}

// drawHeat draws the cells of a heatmap; each is as wide as a step.
function drawHeat(u: uPlot, heat: Heatmap, times: number[], dark: boolean) {
  const { ctx } = u
  const step = times.length > 1 ? times[1] - times[0] : 1
  ctx.save()
  ctx.beginPath()
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height)
  ctx.clip()
  heat.counts.forEach((row, i) => {
    const top = u.valToPos(i + 1, 'y', true)
    const bottom = u.valToPos(i, 'y', true)
    row.forEach((n, j) => {
      if (n <= 0) return
      ctx.fillStyle = shade(Math.sqrt(n / heat.max), dark)
      const left = u.valToPos(times[j] - step / 2, 'x', true)
      const right = u.valToPos(times[j] + step / 2, 'x', true)
      ctx.fillRect(left, top, Math.max(1, right - left + 0.5), bottom - top + 0.5)
    })
  })
  ctx.restore()
}

function drawDots(u: uPlot, list: Dot[], heat: Heatmap | null) {
  const { ctx } = u
  ctx.save()
  ctx.fillStyle = cssColour('--accent-2')
  ctx.strokeStyle = cssColour('--panel')
  for (const d of list) {
    const x = u.valToPos(d.time, 'x', true)
    const y = u.valToPos(heat ? place(heat, d.value) : d.value, 'y', true)
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width || y < u.bbox.top || y > u.bbox.top + u.bbox.height) continue
    const r = 4 * devicePixelRatio
    ctx.beginPath()
    ctx.moveTo(x, y - r)
    ctx.lineTo(x + r, y)
    ctx.lineTo(x, y + r)
    ctx.lineTo(x - r, y)
    ctx.closePath()
    ctx.fill()
    ctx.stroke()
  }
  ctx.restore()
}

// place finds a value between the bounds of a heatmap, whose rows are equally high.
function place(heat: Heatmap, v: number): number {
  const i = heat.bounds.findIndex((b) => b >= v)
  if (i <= 0) return i === 0 ? 0 : heat.bounds.length - 1
  const [lower, upper] = [heat.bounds[i - 1], heat.bounds[i]]
  return Number.isFinite(upper) && Number.isFinite(lower) ? i - 1 + (v - lower) / (upper - lower) : i - 0.5
}

function options(p: Props, drawn: Line[], list: Dot[], width: number, setCursor: (i: number | null, u: uPlot) => void): uPlot.Options {
  const muted = cssColour('--muted')
  const gridColour = cssColour('--line')
  const heat = p.drawing === 'heatmap' ? p.heat : null
  const bound = (i: number) => (heat && heat.bounds[i] !== undefined ? formatNumber(heat.bounds[i], p.unit) : '')
  return {
    width, height: 320,
    padding: [10, 12, 0, 0],
    tzDate: (t) => (p.utc ? uPlot.tzDate(new Date(t * 1000), 'Etc/UTC') : new Date(t * 1000)),
    cursor: { sync: { key: 'varve', setSeries: false }, drag: { x: true, y: false, setScale: false }, focus: { prox: 24 }, points: { size: 7 } },
    focus: { alpha: 0.25 },
    legend: { show: false },
    scales: {
      x: { time: true, range: [p.times[0], p.times[p.times.length - 1]] },
      y: heat
        ? { range: [0, heat.counts.length] }
        : { range: (_u, min, max) => {
            const values = list.map((d) => d.value)
            const [lo, hi] = [Math.min(min ?? 0, ...values), Math.max(max ?? 1, ...values)]
            if (lo === hi && lo === 0) return [0, 1]
            return uPlot.rangeNum(lo, hi, { min: { pad: 0.08, soft: 0, mode: 3 }, max: { pad: 0.08, soft: 0, mode: 3 } })
          } },
    },
    axes: [
      { stroke: muted, values: marks, space: 70, grid: { stroke: gridColour, width: 1 }, ticks: { stroke: gridColour, width: 1 } },
      {
        stroke: muted, size: 74, grid: { stroke: gridColour, width: 1 }, ticks: { stroke: gridColour, width: 1 },
        ...(heat
          ? { splits: () => { const every = Math.ceil(heat.bounds.length / 12); return heat.bounds.map((_, i) => i).filter((i) => i % every === 0) },
              values: (_u: uPlot, splits: number[]) => splits.map(bound) }
          : { ...(p.unit === 'bytes' ? { incrs: powersOfTwo } : {}), values: (_u: uPlot, splits: number[]) => splits.map((v) => formatNumber(v, p.unit)) }),
      },
    ],
    series: [
      {},
      ...drawn.map((line, i): uPlot.Series => ({
        label: line.name, stroke: colour(i), width: 1.5, spanGaps: false,
        fill: p.drawing === 'stacked' ? colour(i) + '44' : undefined,
        points: { show: (_u, _i, from, to) => to - from < 2 },
      })),
    ],
    bands: p.drawing === 'stacked' ? drawn.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) : undefined,
    hooks: {
      drawClear: heat ? [(u) => drawHeat(u, heat, p.times, p.dark)] : [],
      draw: list.length > 0 ? [(u) => drawDots(u, list, heat)] : [],
      setCursor: [(u) => setCursor(u.cursor.left !== undefined && u.cursor.left >= 0 ? (u.cursor.idx ?? null) : null, u)],
      setSelect: [(u) => {
        if (u.select.width > 4) p.onZoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'))
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
      }],
    },
  }
}

interface Tip { index: number; x: number; y: number; nearest: number | null; right: boolean; dot: Dot | null }

// dotAt finds the exemplar under the cursor.
function dotAt(u: uPlot, list: Dot[], heat: Heatmap | null): Dot | null {
  const { left = -1, top = -1 } = u.cursor
  let [found, best]: [Dot | null, number] = [null, 10]
  for (const d of list) {
    const far = Math.hypot(u.valToPos(d.time, 'x') - left, u.valToPos(heat ? place(heat, d.value) : d.value, 'y') - top)
    if (far < best) [found, best] = [d, far]
  }
  return found
}

export function Chart(p: Props) {
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [tip, setTip] = useState<Tip | null>(null)
  const [only, setOnly] = useState<Set<string>>(new Set())
  const hidden = (name: string) => only.size > 0 && !only.has(name)
  const shown = useMemo(() => p.lines.slice(0, linesMax), [p.lines])
  const heat = p.drawing === 'heatmap' && p.heat !== null
  const drawn = useMemo(() => (heat ? [] : p.drawing === 'stacked' ? stack(shown) : shown), [shown, p.drawing, heat])

  const list = useMemo(() => dots(p.exemplars), [p.exemplars])

  useEffect(() => {
    const element = host.current!
    const setCursor = (i: number | null, u: uPlot) => {
      if (i === null) return setTip(null)
      const over = element.matches(':hover')
      let nearest: number | null = null
      if (over) {
        let best = Infinity
        drawn.forEach((line, k) => {
          const v = line.values[i]
          if (v === null || u.series[k + 1].show === false) return
          const d = Math.abs(u.valToPos(v, 'y') - (u.cursor.top ?? 0))
          if (d < best) [best, nearest] = [d, k]
        })
      }
      const x = u.valToPos(p.times[i], 'x') + u.bbox.left / devicePixelRatio
      setTip(over ? { index: i, x, y: u.cursor.top ?? 0, nearest, right: x > element.clientWidth / 2, dot: dotAt(u, list, heat ? p.heat : null) } : null)
    }
    const data = [p.times, ...(heat ? [] : drawn.map((l) => l.values))] as uPlot.AlignedData
    const u = new uPlot(options(p, drawn, list, element.clientWidth, setCursor), data, element)
    drawn.forEach((line, k) => { if (hidden(line.name)) u.setSeries(k + 1, { show: false }) })
    plot.current = u
    const resized = new ResizeObserver(() => u.setSize({ width: element.clientWidth, height: 320 }))
    resized.observe(element)
    const wheel = (e: WheelEvent) => {
      if (!e.shiftKey) return
      e.preventDefault()
      p.onPan(Math.sign(e.deltaY || e.deltaX) * 0.25)
    }
    element.addEventListener('wheel', wheel, { passive: false })
    return () => {
      element.removeEventListener('wheel', wheel)
      resized.disconnect()
      u.destroy()
      setTip(null)
    }
  }, [p.times, drawn, p.unit, p.utc, p.dark, heat, p.heat, list])

  const toggle = (name: string, add: boolean) => {
    let next = new Set(only)
    if (add) {
      if (next.has(name)) next.delete(name)
      else next.add(name)
    } else next = only.size === 1 && only.has(name) ? new Set() : new Set([name])
    setOnly(next)
    drawn.forEach((line, k) => plot.current?.setSeries(k + 1, { show: next.size === 0 || next.has(line.name) }))
  }

  return (
    <div class="chart">
      <div class="plot" ref={host}>
        {tip && <Tooltip tip={tip} lines={shown} heat={heat ? p.heat : null} times={p.times} unit={p.unit} utc={p.utc} />}
      </div>
      {!heat && (
        <ul class="legend" aria-label="Series">
          {shown.map((line, i) => (
            <li key={line.name}>
              <button type="button" class={hidden(line.name) ? 'off' : ''} aria-pressed={!hidden(line.name)}
                title="Click shows this series alone; Ctrl-click adds or removes it"
                onClick={(e) => toggle(line.name, e.ctrlKey || e.metaKey)}>
                <i style={{ background: colour(i) }} />
                <span>{line.name}</span>
                <b>{formatNumber(last(line.values), p.unit)}</b>
              </button>
            </li>
          ))}
        </ul>
      )}
      {p.lines.length > linesMax && !heat && <p class="note">{linesMax} of {p.lines.length} series are drawn; the table has all.</p>}
    </div>
  )
}

const last = (values: (number | null)[]) => values.findLast((v) => v !== null) ?? null

interface TooltipProps { tip: Tip; lines: Line[]; heat: Heatmap | null; times: number[]; unit: Unit; utc: boolean }

function Tooltip({ tip, lines, heat, times, unit, utc }: TooltipProps) {
  const rows: { key: string; colour: string; value: string; strong: boolean }[] = []
  if (heat) {
    for (let i = heat.counts.length - 1; i >= 0 && rows.length < 14; i--) {
      const n = heat.counts[i][tip.index]
      if (n > 0) rows.push({ key: `${formatNumber(heat.bounds[i], unit)} to ${formatNumber(heat.bounds[i + 1], unit)}`, colour: 'var(--accent)', value: formatNumber(n, 'short'), strong: false })
    }
  } else {
    const near = lines
      .map((line, i) => ({ line, i, v: line.values[tip.index] }))
      .filter((r) => r.v !== null && r.v !== undefined)
    near.sort((a, b) => Number(b.i === tip.nearest) - Number(a.i === tip.nearest) || b.v! - a.v!)
    for (const r of near.slice(0, 12)) rows.push({ key: r.line.name, colour: colour(r.i), value: formatNumber(r.v, unit), strong: r.i === tip.nearest })
    if (near.length > 12) rows.push({ key: `and ${near.length - 12} more`, colour: 'transparent', value: '', strong: false })
  }
  return (
    <div class="tip" style={tip.right ? { right: `calc(100% - ${tip.x - 14}px)`, top: 12 } : { left: tip.x + 14, top: 12 }}>
      <time>{formatTime(times[tip.index] * 1000, utc)}</time>
      {tip.dot && <div class="exemplar"><i /><span>{tip.dot.text}</span><b>{formatNumber(tip.dot.value, unit)}</b></div>}
      {rows.map((r) => (
        <div key={r.key} class={r.strong ? 'strong' : ''}>
          <i style={{ background: r.colour }} />
          <span>{r.key}</span>
          <b>{r.value}</b>
        </div>
      ))}
    </div>
  )
}
