import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { Browser, Page } from 'playwright-core'
import { openBrowser } from '../helpers/browser.ts'
import { type ConsoleSites, openConsoleSites } from '../helpers/console-sites.ts'
import { Fibre } from '../helpers/fibre.ts'
import { peerProgram } from '../helpers/peer-program.ts'
import { until } from '../helpers/until.ts'
import { top } from '../structure/tree.ts'
import { HostLoad } from './host-load.ts'

const MARKUP = '<img/src=x/onerror=document.title="taken">'
const LONG = 'x'.repeat(256)
const HOSTS = { a: ['alice', 'gateway-a'], b: ['bob', MARKUP, LONG], c: ['carl'] }
const SIZE = { width: 1280, height: 800 }
const PANELS = [
  'Network',
  'Pools',
  'Alarms',
  'Demand and plan',
  'Who takes the key',
  'Requests',
  'Levels',
  'Sessions on keys',
  'Interruptions',
  'Store, audit, backup',
]
/** Kept after the run, and left out of the repository. */
const SCREENSHOTS = join(top, '.cache/console')
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

describe('the console in a browser', function () {
  this.timeout(120_000)
  let browser: (Browser & AsyncDisposable) | undefined
  let sites: ConsoleSites
  let load: HostLoad
  /** The way to the console, which can be cut. */
  let wire: Fibre
  let page: Page
  const said: string[] = []

  const url = () => `http://127.0.0.1:${wire.port}/`
  const panel = (name: string) => page.getByRole('region', { name, exact: true })
  const textOf = async (name: string) => (await panel(name).innerText()).replaceAll(/\s+/g, ' ')
  const shows = (name: string, wanted: RegExp) =>
    until(async () => wanted.test(await textOf(name)), `${name} shows ${wanted}`, { timeoutMs: 30_000 }).catch(
      async (error: Error) => {
        throw new Error(`${error.message}; it shows: ${await textOf(name)}`)
      },
    )
  /** Waits in here: waiting in the page takes an `eval`, which its policy refuses. */
  const becomes = (expression: string) =>
    until(async () => (await page.evaluate(expression)) === true, expression, { timeoutMs: 30_000 })
  const serious = async (on: Page) => {
    const { violations } = (await on.evaluate(
      'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })',
    )) as { violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`))
  }

  before(async function () {
    const chromium = peerProgram(this, 'chromium', 'chromium')
    browser = await openBrowser(chromium)
    sites = await openConsoleSites({ hosts: HOSTS, console: { host: '127.0.0.1', port: 0 } })
    wire = await Fibre.open({ to: Number(new URL(sites.sites.a.address.console!.url).port) })
    load = new HostLoad(saeId => sites.host(saeId))
    load.begin([
      { from: 'alice', to: 'bob', number: 3 },
      { from: 'carl', to: 'alice' },
      { from: 'gateway-a', to: MARKUP, level: 'hybrid' },
      { from: 'alice', to: LONG },
      { from: 'alice', to: 'nobody' },
    ])
    // What agents at hosts say reaches the stream of the site.
    const receipt = {
      type: 'key-in-use',
      saeId: 'gateway-a',
      peerSaeId: 'gateway-b',
      atMs: Date.now() - 61_000,
    } as const
    const keyId = '3f1c7d5e-1d2c-4a6b-8f00-000000000000'
    sites.sites.a.telemetry.emit({ ...receipt, keyId, use: 'strongswan berlin-hamburg' })
    sites.sites.a.telemetry.emit({ ...receipt, keyId, use: 'kerberos krbtgt/B@A' })
    sites.sites.a.telemetry.emit({ ...receipt, keyId, use: 'tls' })
    sites.sites.a.telemetry.emit({ ...receipt, type: 'key-retired', keyId, use: 'tls' })
    page = await browser.newPage({ viewport: SIZE, colorScheme: 'light', reducedMotion: 'reduce' })
    page.on('console', message => said.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', error => said.push(`error: ${error.message}`))
    await page.goto(url())
    await page.getByRole('main').waitFor({ timeout: 30_000 })
  })

  after(async () => {
    await load?.end()
    await browser?.[Symbol.asyncDispose]()
    await wire?.close()
    await sites?.[Symbol.asyncDispose]()
  })

  it('shows ten parts on one screen of 1280 by 800, each with its heading', async () => {
    for (const name of PANELS) {
      const box = (await panel(name).boundingBox())!
      expect(box.x, name).to.be.at.least(0)
      expect(box.y + box.height, name).to.be.at.most(SIZE.height)
      expect(box.x + box.width, name).to.be.at.most(SIZE.width)
      expect(await panel(name).getByRole('heading', { level: 2 }).innerText()).to.equal(name)
    }
    const scrolls = '[document.documentElement.scrollHeight, document.documentElement.scrollWidth]'
    expect(await page.evaluate(scrolls)).to.deep.equal([SIZE.height, SIZE.width])
    expect(await page.getByRole('banner').innerText()).to.match(/site-a\s/)
  })

  it('says in words what goes on: links, pools, hosts, plan, refusals, levels, sessions, store', async () => {
    await shows('Network', /3 of 3 links up/)
    await shows('Pools', /site-b [\d,]+ .* site-c|site-c [\d,]+ .* site-b/)
    await shows('Who takes the key', /alice → bob/)
    await shows('Demand and plan', /plan \d+, gap [\d.< ]+ %/)
    await shows('Requests', /invalid argument [\d,]+ [\d,]+/)
    await shows('Levels', /quantum, direct [\d,]+/)
    await shows('Levels', /hybrid, direct [\d,]+/)
    await shows('Sessions on keys', /IPsec berlin-hamburg 1 min \d+ s agent’s receipt/)
    await shows('Sessions on keys', /Kerberos krbtgt\/B@A 1 min \d+ s agent’s receipt/)
    expect(await textOf('Sessions on keys')).to.not.include('TLS')
    await shows('Store, audit, backup', /lmdb, [\d.]+ GiB free/)
    await shows('Store, audit, backup', /Audit log ok: [\d]+ lines|Audit log \S+ [\d]+ lines/)
    const map = await panel('Network').getByRole('img').getAttribute('aria-label')
    expect(map).to.equal('3 sites, 3 links: 3 up, 0 degraded, 0 down')
    await becomes('document.querySelectorAll("#plan .line-2").length > 0')
  })

  it('tells a reader what stands behind each picture, and marks no state by colour alone', async () => {
    await shows('Network', /up, [\d.]+ kb\/s/)
    expect(await panel('Network').getByRole('table', { includeHidden: true }).count()).to.equal(1)
    const hour = await panel('Demand and plan').getByRole('img').getAttribute('aria-label')
    expect(hour).to.match(/asked [\d.]+ \w*b\/s, granted [\d.]+ \w*b\/s/)
    const strokes = await page.evaluate(
      '[1, 2, 3].map(at => getComputedStyle(document.querySelector(".legend .line-" + at)).strokeDasharray)',
    )
    expect(new Set(strokes as string[])).to.have.length(3)
  })

  it('leaves names what they are: text, however long', async () => {
    await shows('Who takes the key', /gateway-a → <img/)
    expect(await page.locator('img').count()).to.equal(0)
    expect(await page.title()).to.equal('qkdkit console')
    const rows = panel('Who takes the key').getByRole('row')
    await until(async () => (await rows.allInnerTexts()).some(text => text.includes('xxxx')), 'the long name is there')
    const wide = `[...document.querySelectorAll('.panel')].filter(each => each.scrollWidth > each.clientWidth).map(({ id }) => id)`
    expect(await page.evaluate(wide)).to.deep.equal([])
    expect(await page.locator(`[title*="${LONG}"]`).count()).to.be.above(0)
  })

  it('shows a cut link and the alarm that follows, in shape and words, and says the alarm to a reader', async () => {
    await page.evaluate(`
      globalThis.heard = []
      const region = document.getElementById('said')
      new MutationObserver(() => heard.push(region.textContent)).observe(region, { childList: true, characterData: true, subtree: true })
    `)
    for (const linkId of ['a-c', 'b-c']) sites.fibres.get(linkId)!.cut()
    await shows('Network', /1 of 3 links up, 2 down/)
    const picture = panel('Network').getByRole('img')
    await until(
      async () => /1 up, 0 degraded, 2 down \(a-c down, b-c down\)/.test((await picture.getAttribute('aria-label'))!),
      'the picture is told so',
    )
    expect(await picture.locator('text', { hasText: 'DOWN' }).count()).to.equal(2)
    expect(await picture.locator('.fibre.down .cross').count()).to.equal(2)
    const dashes =
      '[".fibre.down line", ".fibre.up line"].map(at => getComputedStyle(document.querySelector(at)).strokeDasharray)'
    const [down, up] = (await page.evaluate(dashes)) as string[]
    expect(down).to.not.equal(up)
    await shows('Alarms', /major .* site-c/)
    await shows('Interruptions', /link a-c .*down for \d+ s/)
    expect(await page.getByRole('banner').innerText()).to.match(/alarms: .*\d major/)
    const incident = { type: 'incident', id: 'I-7', selector: 'relay site-c', originSiteId: 'site-a' } as const
    sites.sites.a.telemetry.emit({ ...incident, state: 'held', untold: ['site-b'] })
    await shows(
      'Alarms',
      /critical .*Incident I-7 of site-a: keys are held back \(relay site-c\); not told yet: site-b/,
    )
    await becomes('heard.some(text => /critical alarm: Incident I-7/.test(text))')
    expect(await page.locator('#said').getAttribute('aria-live')).to.equal('polite')
  })

  it('is used with the keyboard alone', async () => {
    const focused = () => page.evaluate('document.activeElement.textContent.trim()')
    await page.keyboard.press('2')
    expect(await focused()).to.equal('Pools')
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Pools' })
    await dialog.waitFor()
    const heads = await dialog.getByRole('columnheader').allInnerTexts()
    expect(heads).to.include.members(['Site', 'Stock', 'In', 'Out', 'Lasts', 'Waiting', 'Under lease'])
    // What is live goes on below an open dialog, and does not take the focus.
    await sleep(1_500)
    expect(await dialog.isVisible()).to.equal(true)
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    expect(await focused()).to.equal('Pools')
    await page.keyboard.press('1')
    const order = []
    for (const _ of PANELS) {
      order.push(await focused())
      await page.keyboard.press('Tab')
    }
    expect(order).to.deep.equal(PANELS)
    for (const [at, name] of PANELS.entries()) {
      await page.keyboard.press(String((at + 1) % 10))
      await page.keyboard.press('Enter')
      await page.getByRole('dialog', { name, exact: true }).getByRole('table').first().waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
    }
  })

  it('has no serious fault that axe finds, light or dark, and is kept as pictures', async () => {
    await mkdir(SCREENSHOTS, { recursive: true })
    for (const colorScheme of ['light', 'dark'] as const) {
      const other = await browser!.newPage({ viewport: SIZE, colorScheme, bypassCSP: true })
      await other.goto(url())
      await other.getByRole('main').waitFor()
      await other.addScriptTag({ path: axe })
      expect(await serious(other), colorScheme).to.deep.equal([])
      const to = join(SCREENSHOTS, `site-${colorScheme}.png`)
      await other.screenshot({ path: to })
      console.log(`      ${to}`)
      await other.keyboard.press('3')
      await other.keyboard.press('Enter')
      await other.getByRole('dialog').waitFor()
      expect(await serious(other), `${colorScheme}, all alarms`).to.deep.equal([])
      await other.close()
    }
  })

  it('shows the whole network at the controller, of which axe finds no serious fault', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const other = await browser!.newPage({ viewport: SIZE, colorScheme, bypassCSP: true })
      await other.goto(sites.controller.consoleUrl!)
      const map = other.getByRole('region', { name: 'Network' })
      await map.getByText('1 of 3 links up, 2 down').waitFor()
      await other.getByRole('region', { name: 'Alarms' }).getByText('Link b-c is down').waitFor()
      await other.addScriptTag({ path: axe })
      expect(await serious(other)).to.deep.equal([])
      await other.screenshot({ path: join(SCREENSHOTS, `controller-${colorScheme}.png`) })
      expect(await other.evaluate('document.documentElement.scrollHeight')).to.equal(SIZE.height)
      await other.close()
    }
  })

  it('runs nothing but its own files: inline scripts and things from elsewhere are refused', async () => {
    expect(said).to.deep.equal([])
    await page.evaluate(`
      globalThis.refused = []
      document.addEventListener('securitypolicyviolation', event => refused.push(event.effectiveDirective))
      const attempt = make => { try { make() } catch (error) { refused.push(error.name) } }
      attempt(() => { const script = document.createElement('script'); script.text = 'globalThis.taken = true'; document.body.append(script) })
      attempt(() => { document.body.insertAdjacentHTML('beforeend', '<b onclick="taken = true">x</b>') })
      attempt(() => { const image = document.createElement('img'); image.src = 'https://example.net/x.png'; document.body.append(image); image.remove() })
      attempt(() => { void fetch('https://example.net/').catch(() => {}) })
    `)
    await becomes('refused.includes("img-src") && refused.includes("connect-src")')
    expect(await page.evaluate('refused.filter(name => /script|TypeError/.test(name)).length')).to.be.at.least(2)
    expect(await page.evaluate('globalThis.taken')).to.equal(undefined)
    said.length = 0
  })

  it('says that what it shows is old once the server is lost, and goes on when it is back', async () => {
    const line = page.getByRole('banner').getByRole('status')
    const status = async () => (await line.innerText()).trim()
    expect(await status()).to.equal('live')
    wire.freeze()
    await until(async () => /STALE/.test(await status()), 'silence is seen', { timeoutMs: 20_000 })
    wire.cut()
    await until(async () => /STALE/.test(await status()), 'the cut is seen')
    const border = await page.evaluate('getComputedStyle(document.querySelector(".panel")).borderStyle')
    expect(border).to.equal('dashed')
    await until(
      async () => /STALE.*\sfor \d+ s/s.test(await page.getByRole('banner').innerText()),
      'it says for how long',
    )
    wire.mend()
    await until(async () => (await status()) === 'live', 'it is back', { timeoutMs: 40_000 })
  })

  it('shows that links are up again, and when they were down', async () => {
    for (const fibre of sites.fibres.values()) fibre.mend()
    await shows('Network', /3 of 3 links up/)
    await shows('Interruptions', /link a-c .*down (\d+ ×|[\d minsh]+), over \d\d:\d\d/)
  })
})
