import { follow, STALE_MS } from './connection.mjs'
import { html, render } from './html.mjs'
import { markOfSeverity, Shape } from './icons.mjs'
import { listenToKeys } from './keyboard.mjs'
import { LevelsPanel, LevelTable, RefusalTable, RequestsPanel, SessionsPanel, SessionTable } from './service-panels.mjs'
import {
  ConsumersPanel,
  ConsumerTable,
  MapPanel,
  MapTable,
  PairsPanel,
  PlanPanel,
  PlanTable,
  PoolsPanel,
  PoolTable,
} from './supply-panels.mjs'
import {
  AlarmsPanel,
  AlarmTable,
  alarmWords,
  HealthPanel,
  HealthTable,
  InterruptionsPanel,
  InterruptionTable,
} from './trouble-panels.mjs'
import { clock, duration } from './words.mjs'

/** @typedef {import('./connection.mjs').State} State */

/**
 * What a panel draws from.
 * @typedef {object} Screen
 * @property {import('../sections.ts').ConsoleSections} sections
 * @property {import('../sections.ts').ConsoleHistory} history
 * @property {number} atMs the server's time now
 * @property {{ top: number, middle: number, bottom: number }} rows how many rows fit a panel in each line of the screen
 * @property {(id: string) => void} onOpen
 */

/** Panels by the key of the keyboard, with what opens below them. */
const LARGE = new Map(
  /** @type {[string, [string, any]][]} */ ([
    ['map', ['Network', MapTable]],
    [
      'pools',
      ['Pools', /** @param {any} screen */ screen => (screen.sections.pools ? PoolTable(screen) : PlanTable(screen))],
    ],
    ['alarms', ['Alarms', AlarmTable]],
    ['plan', ['Demand and plan', PlanTable]],
    ['consumers', ['Who takes the key', ConsumerTable]],
    ['requests', ['Requests', RefusalTable]],
    ['levels', ['Levels', LevelTable]],
    ['sessions', ['Sessions on keys', SessionTable]],
    ['interruptions', ['Interruptions', InterruptionTable]],
    ['health', ['Store, audit, backup', HealthTable]],
  ]),
)

/** @type {State | undefined} */
let state
/** @type {string | undefined} */
let opened
/** What was said to a screen reader of alarms last. */
let said = ''
/** @type {Map<string, string>} */
let standing = new Map()

/** @param {string} id */
function open(id) {
  opened = id
  draw()
}

function close() {
  const id = opened
  opened = undefined
  draw()
  document.getElementById(`${id}-name`)?.focus()
}

function draw() {
  const root = document.getElementById('page')
  if (root !== null && state !== undefined) render(html`<${Page} state=${state} />`, root)
}

/** @param {{ state: State }} props */
function Page({ state: { connection, sections, history, atMs, heardMs, retryMs } }) {
  if (sections === undefined)
    return html`<p class="plain" role="status">${connection === 'lost' ? 'The server does not answer; trying again.' : 'Connecting …'}</p>`
  const silentMs = performance.now() - heardMs
  const isStale = connection === 'lost' || silentMs > STALE_MS
  const nowMs = atMs + (isStale ? 0 : Math.min(silentMs, STALE_MS))
  /** @type {Screen} */
  const screen = { sections, history, atMs: nowMs, rows: rowsThatFit(), onOpen: open }
  const large = opened === undefined ? undefined : LARGE.get(opened)
  return html`<div class=${isStale ? 'console stale' : 'console'}>
    <header>
      <h1><span class="brand">qkdkit</span> <bdi title=${sections.about.id}>${sections.about.id}</bdi></h1>
      <span class="kind">${sections.about.kind === 'site' ? 'site' : 'network controller'}, running for ${duration(nowMs - sections.about.startedAtMs)}</span>
      <${Verdict} alarms=${sections.alarms} />
      <${Liveness} isStale=${isStale} silentMs=${silentMs} retryMs=${connection === 'lost' ? retryMs : undefined} atMs=${atMs} />
    </header>
    ${
      sections.about.kind === 'controller'
        ? html`<main class="controller">
            <${MapPanel} ...${screen} />
            <${AlarmsPanel} ...${screen} />
            <${PairsPanel} ...${screen} />
            <${PlanPanel} ...${screen} />
            <${InterruptionsPanel} ...${screen} />
            <${HealthPanel} ...${screen} />
          </main>`
        : html`<main>
      <${MapPanel} ...${screen} />
      <${PoolsPanel} ...${screen} />
      <${AlarmsPanel} ...${screen} />
      <${PlanPanel} ...${screen} />
      <${ConsumersPanel} ...${screen} />
      <${RequestsPanel} ...${screen} />
      <${LevelsPanel} ...${screen} />
      <${SessionsPanel} ...${screen} />
      <${InterruptionsPanel} ...${screen} />
      <${HealthPanel} ...${screen} />
    </main>`
    }
    <p class="unseen" aria-live="polite" id="said">${said}</p>
    ${large === undefined ? null : html`<${Large} name=${large[0]} table=${large[1]} screen=${screen} />`}
  </div>`
}

/** @param {{ alarms: Screen['sections']['alarms'] }} props */
function Verdict({ alarms: { standing } }) {
  const worst = standing[0]
  if (worst === undefined) return html`<p class="verdict"><${Shape} mark="ok" /> no alarms</p>`
  const mark = markOfSeverity(worst.severity)
  return html`<p class=${`verdict ${mark}`}><${Shape} mark=${mark} /> ${`alarms: ${alarmWords(standing)}`}</p>`
}

/** @param {{ isStale: boolean, silentMs: number, retryMs: number | undefined, atMs: number }} props */
function Liveness({ isStale, silentMs, retryMs, atMs }) {
  const inMs = retryMs === undefined ? 0 : retryMs - performance.now()
  const next = inMs > 1_000 ? `, next try in ${duration(inMs)}` : ''
  // A reader hears of the change alone: what counts on is kept from it.
  return html`<p class="liveness">
    <span role="status"><${Shape} mark=${isStale ? 'bad' : 'ok'} /> ${isStale ? 'STALE: no word from the server' : 'live'}</span>
    <span>${isStale ? ` for ${duration(silentMs)}${next}` : ''}</span>
    <time>${clock(atMs)}</time>
  </p>`
}

/** @param {{ name: string, table: any, screen: Screen }} props */
function Large({ name, table, screen }) {
  return html`<dialog ref=${show} onCancel=${leave} aria-labelledby="large-name">
    <form method="dialog" class="large-head" onSubmit=${leave}>
      <h2 id="large-name" class="large-name">${name}</h2>
      <button class="close">Close <kbd aria-hidden="true">Esc</kbd></button>
    </form>
    <div class="all" tabindex="0" role="region" aria-labelledby="large-name"><${table} ...${screen} large=${true} /></div>
  </dialog>`
}

/** @param {HTMLDialogElement | null} dialog */
function show(dialog) {
  if (dialog !== null && !dialog.open) dialog.showModal()
}

/**
 * Closes at once and not with the dialog's own event, which comes later: a key that is pressed meanwhile would be lost.
 * @param {Event} event
 */
function leave(event) {
  event.preventDefault()
  close()
}

/** As the grid of style.css shares out the height. */
function rowsThatFit() {
  const height = window.innerHeight - 76
  /** @param {number} share */
  const rows = share => Math.max(2, Math.floor((height * share - 58) / 20))
  return { top: rows(0.36), middle: rows(0.29), bottom: rows(0.35) }
}

/**
 * What is new among the alarms, in words for a screen reader.
 * @param {State} next
 */
function sayAlarms({ sections }) {
  const alarms = sections?.alarms.standing ?? []
  // One that has become worse is news too.
  const fresh = alarms.filter(({ id, severity }) => standing.get(id) !== severity)
  const gone = [...standing.keys()].filter(id => !alarms.some(alarm => alarm.id === id))
  standing = new Map(alarms.map(({ id, severity }) => [id, severity]))
  if (fresh.length > 0) said = fresh.map(({ severity, text }) => `${severity} alarm: ${text}`).join('; ')
  else if (gone.length > 0) said = alarms.length === 0 ? 'No alarm stands any more' : `${gone.length} alarms are over`
}

// What stood there for who has no JavaScript.
document.getElementById('page')?.replaceChildren()
listenToKeys(document)
follow(next => {
  state = next
  sayAlarms(next)
  draw()
})
setInterval(() => {
  if (state?.connection !== 'live' || performance.now() - state.heardMs > 1_500) draw()
}, 1_000)
addEventListener('resize', draw)
