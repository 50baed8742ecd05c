// Drives the application in a real browser against a running server:
//
//	node test/browser.mjs http://127.0.0.1:7480/ [folder for screenshots]
//
// The server must have data of its own (self-scrape) and --web.enable-admin-api.
// CHROMIUM names the browser.
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const base = process.argv[2] ?? 'http://127.0.0.1:7480/'
const folder = process.argv[3]
if (folder) mkdirSync(folder, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
const problems = []
const check = (ok, text) => { if (!ok) problems.push(text) }

async function open(scheme, size = { width: 1360, height: 900 }) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, bypassCSP: true })
  const page = await context.newPage()
  page.on('console', (m) => { if (m.type() === 'error' && !page.tolerant) problems.push(`${page.url()}: console: ${m.text()}`) })
  page.on('pageerror', (e) => problems.push(`${page.url()}: ${e.message}`))
  page.on('request', (r) => { if (!r.url().startsWith(base) && !/^(data|blob):/.test(r.url())) problems.push(`request to ${r.url()}`) })
  return page
}

async function go(page, hash) {
  await page.goto('about:blank')
  await page.goto(base + hash)
  await page.waitForLoadState('networkidle')
}

const e = encodeURIComponent
const requests = '#/query?e0=' + e('sum by (route) (rate(varve_server_requests_total[1m]))') + '&from=now-15m'
const heat = '#/query?e0=' + e('sum by (le) (rate(varve_kv_fsync_seconds_bucket[1m]))') + '&d0=heatmap&u0=seconds&from=now-15m'
const marked = '#/query?e0=' + e('demo_request_seconds_bucket') + '&x0=1&u0=seconds&from=now-15m'
const pages = {
  query: requests, heatmap: heat, plan: requests + '&v0=plan', table: '#/query?e0=go_goroutines&v0=table', explore: '#/explore?search=fsync&metric=varve_kv_fsync_seconds_bucket',
  exemplars: marked, cardinality: '#/cardinality', storage: '#/storage', queries: '#/queries', targets: '#/targets', status: '#/status',
}

// A histogram with exemplars, as a program would expose it.
const seconds = Math.floor(Date.now() / 1000)
let exposed = '# TYPE demo_request_seconds histogram\n'
for (let i = 0; i < 40; i++) {
  const at = seconds - 15 * (39 - i)
  exposed += `demo_request_seconds_bucket{le="0.1"} ${3 * i} ${at} # {trace_id="4bf92f3577b34da6${i}"} 0.0${1 + (i % 9)} ${at}\n`
  exposed += `demo_request_seconds_bucket{le="1"} ${4 * i} ${at} # {trace_id="00f067aa0ba902b7${i}"} 0.${1 + (i % 9)} ${at}\n`
}
exposed += `# TYPE demo_old gauge\ndemo_old 1 ${seconds - 3 * 86400}\n`
const imported = await fetch(base + 'api/v1/import/prometheus', {
  method: 'POST', body: exposed + '# EOF\n', headers: { 'Content-Type': 'application/openmetrics-text; version=1.0.0' },
})
check(imported.ok, `the exemplars are refused: ${await imported.text()}`)

// Every page, in both colours: no error, no serious fault of accessibility.
for (const scheme of ['light', 'dark']) {
  const page = await open(scheme)
  for (const [name, hash] of Object.entries(pages)) {
    await go(page, hash)
    if (folder) await page.screenshot({ path: `${folder}/${name}-${scheme}.png` })
    await page.evaluate(axe)
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
    for (const v of found.violations) {
      if (v.impact === 'serious' || v.impact === 'critical') problems.push(`${name} (${scheme}): ${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`)
    }
  }
  await page.context().close()
}

const page = await open('light')
// A query is typed with completion, run and drawn.
await go(page, '#/query?e0=&from=now-1m')
await page.locator('.cm-content').click()
await page.keyboard.type('varve_server_requ', { delay: 30 })
await page.locator('.cm-tooltip-autocomplete').waitFor()
check((await page.locator('.cm-tooltip-autocomplete').innerText()).includes('varve_server_requests_total'), 'completion does not offer a metric')
await page.keyboard.press('Escape')
await page.keyboard.type('ests_total', { delay: 10 })
await page.keyboard.press('Escape')
await page.keyboard.press('Enter')
await page.locator('.u-over').waitFor()
check((await page.locator('.legend li').count()) > 0, 'nothing is drawn')
check(page.url().includes('varve_server_requests_total'), 'the expression is not in the address')

// The same address shows the same to somebody else.
const address = page.url()
const other = await open('dark')
await other.goto(address)
await other.locator('.legend li').first().waitFor()
check((await other.locator('.cm-content').innerText()).includes('varve_server_requests_total'), 'the address does not carry the expression')
await other.context().close()

// Dragging zooms, and the address says so.
const box = await page.locator('.u-over').boundingBox()
await page.mouse.move(box.x + box.width * 0.4, box.y + 60)
await page.mouse.down()
await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 5 })
await page.mouse.up()
await page.waitForFunction((old) => location.href !== old, address)
check(/from=20\d\d-/.test(decodeURIComponent(page.url())), 'zooming does not change the range')
await page.locator('.u-over').hover()
await page.locator('.tip').waitFor()

// A click on the legend shows one series alone.
const entries = await page.locator('.legend button').count()
await page.locator('.legend button').first().click()
check((await page.locator('.legend button.off').count()) === entries - 1, 'the legend does not hide the others')

// Mistakes are shown in the server's words.
page.tolerant = true
await go(page, '#/query?e0=' + e('rate(a['))
check(await page.locator('.problem').first().isVisible(), 'a mistake is not shown')
await page.locator('.cm-lintRange-error, .cm-lintPoint-error').first().waitFor()
page.tolerant = false

// A long query is cancelled.
await page.route('**/api/v1/query_range', async (route) => { await new Promise((r) => setTimeout(r, 3000)); await route.continue().catch(() => undefined) })
await page.goto('about:blank')
await page.goto(base + requests)
await page.getByRole('button', { name: 'Cancel' }).click()
await page.getByRole('button', { name: 'Run', exact: true }).waitFor()
await page.unroute('**/api/v1/query_range')

// The heatmap has cells, and the plan what operators took.
await go(page, heat)
const colours = await page.locator('.plot canvas').evaluate((c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)
check(colours > 12, `the heatmap has ${colours} colours`)
await go(page, pages.plan)
await page.locator('.operator').first().waitFor()

// Exemplars are drawn as points, and the cursor tells where one leads.
const marks = (page) => page.locator('.plot canvas').evaluate((c) => {
  const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue('--accent-2').match(/\w\w/g).map((h) => parseInt(h, 16))
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data
  const found = []
  for (let i = 0; i < d.length; i += 4) if (d[i] === r && d[i + 1] === g && d[i + 2] === b) found.push([(i / 4) % c.width, Math.floor(i / 4 / c.width)])
  return { n: found.length, at: found[Math.floor(found.length / 2)] }
})
await go(page, marked.replace('&x0=1', ''))
await page.locator('.legend li').first().waitFor()
const before = (await marks(page)).n
await page.getByLabel('exemplars').check()
await page.waitForFunction(() => location.href.includes('x0=1'))
await page.waitForLoadState('networkidle')
await page.waitForTimeout(500)
const drawn = await marks(page)
check(drawn.n > before + 200, `exemplars take ${drawn.n - before} pixels`)
const plot = await page.locator('.plot canvas').boundingBox()
await page.mouse.move(plot.x + drawn.at[0], plot.y + drawn.at[1])
check((await page.locator('.tip .exemplar').innerText()).includes('trace_id'), 'the cursor does not tell of the exemplar')

// From a metric that has many series down to its labels.
await go(page, '#/cardinality')
await page.locator('.bars button').first().click()
await page.waitForFunction(() => location.hash.startsWith('#/explore'))
await page.locator('details summary').first().waitFor()

// Targets, those in trouble alone.
await go(page, '#/targets')
await page.locator('tbody tr').first().waitFor()
check((await page.locator('.state.down').count()) === 1, 'the target that is not there is not down')
await page.getByLabel('Health').selectOption('up')
check((await page.locator('.state.down').count()) === 0 && (await page.locator('.state.up').count()) === 1, 'the choice of a health changes nothing')

// Sealing from the storage page.
await go(page, '#/storage')
await page.getByRole('button', { name: 'Seal now' }).click()
await page.getByText('samples sealed').waitFor()

// Deleting a series, after a look.
await page.getByLabel('Series', { exact: true }).fill('go_gc_duration_seconds_count')
await page.getByRole('button', { name: 'What would go?' }).click()
await page.getByRole('button', { name: /for good/ }).click()
await page.getByRole('region', { name: 'Deletions' }).getByText('done').first().waitFor()

// What retention would remove: by the policies in force, by others, by a mistake.
const retention = page.getByRole('region', { name: 'Retention' })
await page.getByRole('button', { name: 'What would go now?' }).click()
await retention.getByText('all series').waitFor()
check((await retention.locator('tbody tr').count()) === 1, 'the policies in force are not one')
await page.getByLabel('Other policies').fill('- {match: demo_old, keep: 1d}')
await page.getByRole('button', { name: 'What would go by these?' }).click()
await retention.getByText('demo_old').waitFor()
check((await retention.locator('tbody tr').count()) === 2, 'the policies that are asked for are not two')
const cells = await retention.locator('tbody tr').first().locator('td').allInnerTexts()
check(cells.slice(0, 5).join() === 'demo_old,1d,1,1,1', `the policy says ${cells.join()}`)
if (folder) await page.screenshot({ path: `${folder}/retention-light.png`, fullPage: true })
page.tolerant = true
await page.getByLabel('Other policies').fill('- {match: up, keep: 0}')
await page.getByRole('button', { name: 'What would go by these?' }).click()
await page.getByText('keeps nothing').waitFor()
page.tolerant = false

// A telephone shows no more than its width.
const phone = await open('light', { width: 390, height: 800 })
for (const [name, hash] of Object.entries(pages)) {
  await go(phone, hash)
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  check(wide <= 1, `${name} is ${wide} pixels wider than a telephone`)
  if (folder) await phone.screenshot({ path: `${folder}/${name}-phone.png` })
}

// The first page is usable within a second.
const quick = await open('light')
await quick.goto('about:blank')
const start = Date.now()
await quick.goto(base + '#/query?e0=go_goroutines')
await quick.locator('.cm-content').waitFor()
console.log(`usable after ${Date.now() - start} ms`)

await browser.close()
for (const p of problems) console.error(p)
console.log(problems.length === 0 ? 'all is well' : `${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
