// Times and durations as people write them.

const units: [string, number][] = [
  ['y', 365 * 86400e3], ['w', 7 * 86400e3], ['d', 86400e3], ['h', 3600e3], ['m', 60e3], ['s', 1e3], ['ms', 1],
]

// parseDuration reads Prometheus's notation, such as 1h30m, into milliseconds.
export function parseDuration(text: string): number | null {
  const pattern = /(\d+(?:\.\d+)?)(ms|[ywdhms])/gy
  let sum = 0
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text)
    if (!match) return null
    sum += Number(match[1]) * units.find(([name]) => name === match[2])![1]
  }
  return text === '' ? null : sum
}

// formatDuration writes milliseconds in Prometheus's notation.
export function formatDuration(ms: number): string {
  let rest = Math.round(ms)
  if (rest === 0) return '0s'
  let text = ''
  for (const [name, size] of units) {
    if (name === 'y' || name === 'w') continue
    const n = Math.floor(rest / size)
    if (n > 0) text += n + name
    rest -= n * size
  }
  return text
}

// parseTime reads now, now-1h, -1h, a date, or seconds since 1970, into
// milliseconds since 1970.
export function parseTime(text: string, now: number, utc: boolean): number | null {
  const trimmed = text.trim()
  if (trimmed === 'now') return now
  const relative = /^(?:now)?-(.+)$/.exec(trimmed)
  if (relative) {
    const ms = parseDuration(relative[1])
    return ms === null ? null : now - ms
  }
  if (/^\d{9,}(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000
  const date = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?)?(Z)?$/.exec(trimmed)
  if (!date) return null
  const [, y, mo, d, h = '0', mi = '0', s = '0', fraction = '0', z] = date
  const parts = [Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s), Math.round(Number(fraction) * 1000)] as const
  const ms = utc || z ? Date.UTC(...parts) : new Date(...parts).getTime()
  return Number.isNaN(ms) ? null : ms
}

const two = (n: number) => String(n).padStart(2, '0')

// formatTime writes a time to the second, or to the millisecond where it has some.
export function formatTime(ms: number, utc: boolean): string {
  const d = new Date(ms)
  const fraction = ms % 1000 === 0 ? '' : '.' + String(d.getUTCMilliseconds()).padStart(3, '0')
  return utc
    ? `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}${fraction}`
    : `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${fraction}`
}

// autoStep chooses the step of a graph, in seconds, for about so many points.
export function autoStep(rangeMs: number, points: number): number {
  const wanted = rangeMs / 1000 / Math.max(points, 1)
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
  return nice.find((n) => n >= wanted) ?? Math.ceil(wanted / 86400) * 86400
}
