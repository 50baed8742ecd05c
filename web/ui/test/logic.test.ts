import { describe, expect, it } from 'vitest'
import { sums, type Block, type Series, type Target } from '../src/api'
import { bytesByMetric } from '../src/cardinality'
import { classicHeatmap, grid, lines, matches, nativeHeatmap, stack } from '../src/data'
import { errorAt } from '../src/editor'
import { family, graphFor } from '../src/explore'
import { csv, formatNumber, guessUnit, seriesName } from '../src/format'
import { jobs, remarks } from '../src/health'
import { resolve } from '../src/query'
import { subject, total } from '../src/retention'
import { decodeQuery, encodeQuery, formatRoute, newPanel, parseRoute } from '../src/route'
import { isLimit } from '../src/status'
import { lanes, partitions } from '../src/storage'
import { chosen } from '../src/targets'
import { autoStep, formatDuration, formatTime, parseDuration, parseTime } from '../src/time'

const now = Date.UTC(2026, 2, 1, 12, 0, 0)

describe('time', () => {
  it('reads durations', () => {
    expect(parseDuration('1h30m')).toBe(5400e3)
    expect(parseDuration('250ms')).toBe(250)
    expect(parseDuration('')).toBeNull()
    expect(parseDuration('5 apples')).toBeNull()
    expect(formatDuration(5400e3)).toBe('1h30m')
    expect(formatDuration(0)).toBe('0s')
  })
  it('reads times', () => {
    expect(parseTime('now', now, true)).toBe(now)
    expect(parseTime('now-1h', now, true)).toBe(now - 3600e3)
    expect(parseTime('-1d', now, true)).toBe(now - 86400e3)
    expect(parseTime('2026-03-01 11:30', now, true)).toBe(now - 1800e3)
    expect(parseTime('2026-03-01T11:30:15.5Z', now, false)).toBe(now - 1784.5e3)
    expect(parseTime('1772366400', now, true)).toBe(now)
    expect(parseTime('noon', now, true)).toBeNull()
  })
  it('writes what it reads', () => {
    for (const t of [now, now + 1, now - 86400e3 * 400]) expect(parseTime(formatTime(t, true), 0, true)).toBe(t)
    for (const t of [now, now + 1]) expect(parseTime(formatTime(t, false), 0, false)).toBe(t)
  })
  it('chooses steps', () => {
    expect(autoStep(3600e3, 500)).toBe(10)
    expect(autoStep(60e3, 500)).toBe(1)
    expect(autoStep(365 * 86400e3 * 10, 100)).toBe(37 * 86400)
  })
})

describe('numbers', () => {
  it('have units', () => {
    expect(formatNumber(1536, 'bytes')).toBe('1.5 KiB')
    expect(formatNumber(0.00042, 'seconds')).toBe('420 µs')
    expect(formatNumber(-1234567, 'short')).toBe('-1.235 M')
    expect(formatNumber(0.25, 'ratio')).toBe('25 %')
    expect(formatNumber(NaN, 'short')).toBe('NaN')
    expect(formatNumber(-Infinity, 'bytes')).toBe('-Inf')
    expect(formatNumber(0.1 + 0.2, 'none')).toBe('0.30000000000000004')
  })
  it('guess them by name', () => {
    expect(guessUnit('node_memory_free_bytes')).toBe('bytes')
    expect(guessUnit('histogram_quantile(0.9, rate(a_seconds_bucket[5m]))')).toBe('seconds')
    expect(guessUnit('rate(cpu_seconds_total[5m])')).toBe('short')
    expect(guessUnit('rate(a_total[5m])')).toBe('persecond')
  })
  it('write series and tables', () => {
    expect(seriesName({ __name__: 'up', job: 'a"b' })).toBe('up{job="a\\"b"}')
    expect(seriesName({ __name__: 'a.b', 'x-y': '1' })).toBe('{"a.b", "x-y"="1"}')
    expect(seriesName({})).toBe('{}')
    expect(csv([['a,b', 'c"d'], ['1', '2']])).toBe('"a,b","c""d"\n1,2\n')
  })
})

describe('addresses', () => {
  it('carry the state of the query page', () => {
    const state = {
      panels: [{ ...newPanel('rate(a{b="#?&"}[5m])'), drawing: 'stacked' as const, exemplars: true }, { ...newPanel('up'), view: 'table' as const, unit: 'bytes' }],
      from: '2026-01-01 00:00:00', to: 'now', step: '1m', refresh: '10s',
    }
    const route = parseRoute(formatRoute('query', encodeQuery(state)))
    expect(route.page).toBe('query')
    expect(decodeQuery(route.parameters)).toEqual(state)
  })
  it('fall back on what there is', () => {
    expect(parseRoute('#/nonsense?x=1').page).toBe('query')
    expect(decodeQuery(new URLSearchParams('e0=a&v0=nonsense')).panels[0].view).toBe('graph')
    expect(decodeQuery(new URLSearchParams()).panels).toHaveLength(1)
  })
})

describe('charts', () => {
  const times = grid(0, 30e3, 10)
  const series: Series[] = [
    { metric: { a: '1' }, values: [[0, '1'], [10, 'NaN'], [30, '4']] },
    { metric: { a: '2' }, values: [[0, '2'], [30, '+Inf']] },
  ]
  it('place points on the grid', () => {
    expect(times).toEqual([0, 10, 20, 30])
    expect(lines(series, times, 10).map((l) => l.values)).toEqual([[1, null, null, 4], [2, null, null, null]])
    expect(stack(lines(series, times, 10))[1].values).toEqual([3, null, null, 4])
  })
  it('draw classic histograms', () => {
    const h = classicHeatmap([
      { metric: { le: '+Inf' }, values: [[0, '10']] }, { metric: { le: '1' }, values: [[0, '4']] }, { metric: { le: '2', i: 'x' }, values: [[0, '5']] },
      { metric: { le: '2', i: 'y' }, values: [[0, '1']] },
    ], times, 10)!
    expect(h.bounds).toEqual([0, 1, 2, Infinity])
    expect(h.counts.map((c) => c[0])).toEqual([4, 2, 4])
    expect(h.max).toBe(4)
    expect(classicHeatmap(series, times, 10)).toBeNull()
  })
  it('draw native histograms', () => {
    const h = nativeHeatmap([{ metric: {}, histograms: [
      [0, { count: '3', sum: '1', buckets: [[0, '0', '2', '2'], [0, '2', '4', '1']] }],
      [10, { count: '1', sum: '1', buckets: [[0, '1', '2', '1']] }],
    ] }], times, 10)!
    expect(h.bounds).toEqual([0, 1, 2, 4])
    expect(h.counts.map((c) => [c[0], c[1]])).toEqual([[1, 0], [1, 1], [1, 0]])
  })
})

describe('ranges', () => {
  it('stand on multiples of the step', () => {
    const r = resolve({ panels: [], from: 'now-1h', to: 'now', step: '7s', refresh: '' }, now, true, 300)
    if (typeof r === 'string') throw new Error(r)
    expect(r.from % 7000).toBe(0)
    expect((r.to - r.from) % 7000).toBe(0)
    expect(r.to).toBeLessThanOrEqual(now)
  })
  it('say what is wrong', () => {
    expect(resolve({ panels: [], from: 'x', to: 'now', step: '', refresh: '' }, now, true, 300)).toContain('“x” is not a time')
    expect(resolve({ panels: [], from: 'now', to: 'now-1h', step: '', refresh: '' }, now, true, 300)).toContain('ends before')
    expect(resolve({ panels: [], from: 'now-1h', to: 'now', step: '0s', refresh: '' }, now, true, 300)).toContain('is not a step')
  })
})

describe('finding metrics', () => {
  it('prefers what is written together', () => {
    const names = ['node_cpu_seconds_total', 'go_memory_cpu', 'cpu', 'nothing']
    const sorted = names.filter((n) => matches(n, 'cpu') !== null).sort((a, b) => matches(b, 'cpu')! - matches(a, 'cpu')!)
    expect(sorted[0]).toBe('cpu')
    expect(sorted).not.toContain('nothing')
    expect(matches('node_cpu_seconds_total', 'ncst')).not.toBeNull()
  })
  it('graphs them by their type', () => {
    expect(graphFor('a_total', 'counter')).toBe('sum(rate(a_total[5m]))')
    expect(graphFor('a_bucket', '')).toContain('histogram_quantile')
    expect(graphFor('a.b', 'gauge')).toBe('{"a.b"}')
    expect(family('a_seconds_bucket', { a_seconds: [{ type: 'histogram', unit: '', help: 'h' }] })?.help).toBe('h')
  })
})

describe('storage', () => {
  const stats = { numSamples: 10, numSeries: 2, numExemplars: 0, numFlushes: 1, chunkBytes: 1, numBytes: 20 }
  const block = (id: string, state: string, minTime: number): Block =>
    ({ id, tenant: 0, generation: 1, state, minTime, maxTime: minTime + 5, stats, metrics: [{ name: 'a', numSeries: 1, numSamples: 1, numBytes: 7 }] })
  it('adds generations of a partition', () => {
    const day = '0000000000800001a20ada2c000000'
    const [p, ...others] = partitions([block(day + '00000001', 'flushed', 5), block(day + '00000002', 'sealed', 1)])
    expect(others).toHaveLength(0)
    expect(p).toMatchObject({ start: 1, end: 10, samples: 20, bytes: 40, series: 2, states: ['flushed', 'sealed'] })
    expect(bytesByMetric([block(day, 'sealed', 1), block(day, 'sealed', 2)])).toEqual([{ name: 'a', value: 14 }])
  })
})

describe('the node', () => {
  it('adds up its metrics', () => {
    const m = sums('# HELP a A.\na{x="1 2"} 3\na{x="}"} 4\nb_total 1e3\nc NaN\n')
    expect([...m]).toEqual([['a', 7], ['b_total', 1000]])
  })
  it('says the worst first', () => {
    const m = new Map([['varve_kv_free_bytes', 1], ['varve_kv_reserve_bytes', 1024], ['varve_tsdb_frozen_epochs', 3], ['varve_tsdb_damaged_rows_total', 0]])
    expect(remarks(m).map((r) => r.state)).toEqual(['bad', 'warn', 'good'])
    expect(remarks(m)[0].text).toContain('writes are refused until there are 1 KiB')
    expect(remarks(new Map([['varve_kv_free_bytes', 1e9]])).every((r) => r.state === 'good')).toBe(true)
  })
  it('shows jobs with their progress', () => {
    const m = new Map([['varve_tsdb_seals_running', 1], ['varve_tsdb_seal_samples', 200], ['varve_tsdb_seal_samples_done', 50], ['varve_tsdb_seal_start_time_seconds', 10]])
    expect(jobs(m, 12_000)).toEqual([{ name: 'Sealing a partition', text: '50 of 200 samples, since 2 s', done: 50, of: 200 }])
    expect(jobs(new Map(), 0)).toEqual([])
  })
  it('places partitions on lanes', () => {
    const p = (start: number, end: number, state: string, resolution: string) =>
      ({ key: `${start}${resolution}`, start, end, blocks: [], samples: 1, series: 1, bytes: 1, states: [state], resolution })
    const found = lanes([p(0, 50, 'sealed', 'raw'), p(0, 50, 'sealed', '5m')], 20, 100, String)
    expect(found.map((l) => [l.resolution, l.bars.map((b) => [b.state, b.left, b.width])])).toEqual([
      ['raw', [['sealed', 0, 50], ['head', 80, 20]]], ['5m', [['downsampled', 0, 50]]],
    ])
  })
  it('says what retention would remove', () => {
    const going = { resolution: 'any', keep: '1w', partitions: 1, series: 1, samples: 600, bytesEstimated: 1024 }
    const size = { limit: 0, partitions: 0, bytes: 0 }
    const one = { asOf: '', policies: [{ ...going, samples: 0 }], size }
    expect([subject(one, 0), total(one)]).toEqual(['all series', 'Nothing is old enough to go.'])
    const two = { asOf: '', policies: [{ ...going, match: ['up', 'down'], resolution: 'raw', tenant: 'a' }, going], size: { limit: 4096, partitions: 2, bytes: 2048 } }
    expect([subject(two, 0), subject(two, 1)]).toEqual(['up down of tenant a at resolution raw', 'all others'])
    expect(total(two)).toBe('1,200 samples would go, about 2 KiB; for the limit of 4 KiB 2 partitions besides, 2 KiB.')
  })
  it('shows targets in trouble first', () => {
    const t = (scrapePool: string, health: string, lastError = '') => ({ scrapePool, health, lastError, scrapeUrl: 'http://' + scrapePool, labels: { job: scrapePool }, lastScrape: '', lastScrapeDuration: 0 }) as Target
    const all = [t('a', 'up'), t('b', 'unknown'), t('c', 'down', 'refused')]
    expect(chosen(all, '', '').map((x) => x.scrapePool)).toEqual(['c', 'b', 'a'])
    expect(chosen(all, 'up', '').map((x) => x.scrapePool)).toEqual(['a'])
    expect(chosen(all, '', 'job=b').map((x) => x.scrapePool)).toEqual(['b'])
    expect(chosen(all, '', 'REFUSED').map((x) => x.scrapePool)).toEqual(['c'])
  })
  it('finds where a mistake is', () => {
    expect(errorAt('invalid parameter "query": 1:8: parse error: unexpected end', 'rate(a[')).toBe(7)
    expect(errorAt('2:3: parse error: x', 'ab\ncdef')).toBe(5)
    expect(errorAt('query timed out', 'up')).toBeNull()
  })
  it('tells limits from other settings', () => {
    expect(['query.max-samples', 'retention.time', 'http.read-timeout', 'storage.disk-reserve', 'http.min-body-rate'].every(isLimit)).toBe(true)
    expect(['storage.path', 'log.level', 'web.enable-pprof'].some(isLimit)).toBe(false)
  })
})
