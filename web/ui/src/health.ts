// What the node's own metrics say of its storage, in plain words.

import { count, formatNumber } from './format'

export interface Remark { state: 'good' | 'warn' | 'bad'; text: string }
export interface Job { name: string; text: string; done?: number; of?: number }

type Metrics = Map<string, number>

const reader = (m: Metrics) => (name: string) => m.get('varve_' + name) ?? 0

// remarks are the sentences, the worst first.
export function remarks(m: Metrics): Remark[] {
  const v = reader(m)
  const all: Remark[] = []
  const say = (state: Remark['state'], text: string) => all.push({ state, text })
  const [free, reserve] = [v('kv_free_bytes'), v('kv_reserve_bytes')]
  const [freeText, reserveText] = [formatNumber(free, 'bytes'), formatNumber(reserve, 'bytes')]
  if (free < 0) say('warn', 'The file system does not tell how much space is free.')
  else if (free < reserve) say('bad', `Only ${freeText} of the disk are free: writes are refused until there are ${reserveText}.`)
  else if (free < 2 * reserve) say('warn', `${freeText} of the disk are free; below ${reserveText} writes are refused.`)
  else say('good', `${freeText} of the disk are free; writes stop below ${reserveText}.`)

  const damaged = v('tsdb_damaged_rows_total') + v('kv_corrupt_tables_total')
  if (damaged > 0) say('bad', `${count(damaged)} damaged parts were met since the start and are left out of answers: varve check says where.`)
  else say('good', 'No damage has been met since the start.')

  const waiting = v('tsdb_frozen_epochs')
  if (waiting > 4) say('bad', `${waiting} epochs wait to be flushed: writes are answered 503.`)
  else if (waiting > 2) say('warn', `${waiting} epochs wait to be flushed: flushes do not keep up.`)
  else say('good', `${count(v('tsdb_head_samples'))} samples are in memory and in the log, for ${formatNumber(v('tsdb_epoch_age_seconds'), 'seconds')} at most before they are flushed.`)

  const syncs = v('kv_fsync_seconds_count')
  if (syncs > 0) {
    const mean = v('kv_fsync_seconds_sum') / syncs
    say(mean > 0.1 ? 'warn' : 'good', `An fsync takes ${formatNumber(mean, 'seconds')} on average${mean > 0.1 ? ', and every write waits for one' : ''}.`)
  }
  if (v('tsdb_seal_failures_total') > 0) say('warn', `${count(v('tsdb_seal_failures_total'))} seals have failed since the start; the log says why.`)
  if (v('kv_background_errors_total') > 0) say('bad', `${count(v('kv_background_errors_total'))} flushes or compactions of the store have failed: look at the disk and the log.`)
  if (v('retention_failed_steps_total') > 0) say('warn', `${count(v('retention_failed_steps_total'))} steps of retention have failed; each is tried again.`)
  if (v('retention_clock_ahead_seconds') > 0) say('warn', `The clock is ${formatNumber(v('retention_clock_ahead_seconds'), 'seconds')} ahead of what retention believes: nothing expires until it is steady.`)
  const order = { bad: 0, warn: 1, good: 2 }
  return all.sort((a, b) => order[a.state] - order[b.state])
}

// jobs are what the node does in the background now.
export function jobs(m: Metrics, now: number): Job[] {
  const v = reader(m)
  const all: Job[] = []
  if (v('tsdb_seals_running') > 0) {
    const [done, of] = [v('tsdb_seal_samples_done'), v('tsdb_seal_samples')]
    all.push({ name: 'Sealing a partition', text: `${count(done)} of ${count(of)} samples, since ${formatNumber(Math.max(0, now / 1000 - v('tsdb_seal_start_time_seconds')), 'seconds')}`, done, of })
  }
  if (v('tsdb_frozen_epochs') > 0) all.push({ name: 'Flushing', text: `${count(v('tsdb_frozen_epochs'))} epochs wait` })
  if (v('kv_compaction_debt_bytes') > 0) all.push({ name: 'Compacting', text: `${formatNumber(v('kv_compaction_debt_bytes'), 'bytes')} to move` })
  return all
}
