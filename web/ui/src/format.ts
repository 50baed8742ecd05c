// Numbers as people read them.

export type Unit = 'short' | 'none' | 'bytes' | 'seconds' | 'percent' | 'ratio' | 'persecond'

export const unitNames: Record<Unit, string> = {
  short: 'short', none: 'exact', bytes: 'bytes', seconds: 'seconds', percent: 'percent', ratio: 'ratio as percent', persecond: 'per second',
}

function scaled(v: number, base: number, names: string[]): string {
  let i = 0
  let x = Math.abs(v)
  while (x >= base && i < names.length - 1) {
    x /= base
    i++
  }
  return (v < 0 ? '-' : '') + digits(x) + names[i]
}

// digits writes a positive number with at most four significant digits.
function digits(x: number): string {
  if (x === 0) return '0'
  if (x < 1e-4) return x.toExponential(2)
  return String(Number(x.toPrecision(4)))
}

function seconds(v: number): string {
  const x = Math.abs(v)
  if (x === 0) return '0 s'
  if (x < 1e-6) return scaledSmall(v * 1e9, ' ns')
  if (x < 1e-3) return scaledSmall(v * 1e6, ' µs')
  if (x < 1) return scaledSmall(v * 1e3, ' ms')
  if (x < 120) return scaledSmall(v, ' s')
  if (x < 7200) return scaledSmall(v / 60, ' min')
  if (x < 172800) return scaledSmall(v / 3600, ' h')
  return scaledSmall(v / 86400, ' d')
}

const scaledSmall = (v: number, unit: string) => (v < 0 ? '-' : '') + digits(Math.abs(v)) + unit

// formatNumber writes a value in a unit.
export function formatNumber(v: number | null | undefined, unit: Unit): string {
  if (v === null || v === undefined) return ''
  if (Number.isNaN(v)) return 'NaN'
  if (!Number.isFinite(v)) return v > 0 ? '+Inf' : '-Inf'
  switch (unit) {
    case 'none':
      return String(v)
    case 'bytes':
      return scaled(v, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB'])
    case 'seconds':
      return seconds(v)
    case 'percent':
      return scaledSmall(v, ' %')
    case 'ratio':
      return scaledSmall(v * 100, ' %')
    case 'persecond':
      return scaled(v, 1000, ['/s', ' k/s', ' M/s', ' G/s'])
    default:
      return scaled(v, 1000, ['', ' k', ' M', ' G', ' T', ' P'])
  }
}

// guessUnit finds a unit by the names that metrics have by convention.
export function guessUnit(expr: string): Unit {
  const counting = /\b(rate|irate)\(/.test(expr)
  if (/_bytes(_total)?\b/.test(expr)) return 'bytes'
  if (/_seconds(_bucket|_total)?\b/.test(expr) && !/_count\b/.test(expr)) return /_seconds_total\b/.test(expr) && counting ? 'short' : 'seconds'
  if (/_ratio\b/.test(expr)) return 'ratio'
  if (/_percent\b/.test(expr)) return 'percent'
  return counting ? 'persecond' : 'short'
}

export const count = (n: number) => n.toLocaleString('en-US')

// seriesName writes a label set in PromQL's notation.
export function seriesName(labels: Record<string, string>): string {
  const { __name__: name = '', ...rest } = labels
  const pairs = Object.entries(rest).map(([k, v]) => `${plainName.test(k) ? k : JSON.stringify(k)}=${JSON.stringify(v)}`)
  if (name !== '' && !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return `{${[JSON.stringify(name), ...pairs].join(', ')}}`
  return pairs.length > 0 || name === '' ? `${name}{${pairs.join(', ')}}` : name
}

const plainName = /^[a-zA-Z_][a-zA-Z0-9_]*$/

// csv writes rows for spreadsheets.
export function csv(rows: string[][]): string {
  return rows.map((row) => row.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')).join('\n') + '\n'
}
