import { Bar } from './charts.mjs'
import { html } from './html.mjs'
import { Shape } from './icons.mjs'
import { shortcutOf } from './keyboard.mjs'
import { Panel, Table } from './tables.mjs'
import { amount, clock, count, duration, integrationName, percent } from './words.mjs'

/** @typedef {import('./app.mjs').Screen} Screen */
/** @typedef {import('./tables.mjs').Column} Column */

/** @type {Column[]} */
const REFUSAL_COLUMNS = [
  { name: 'Refused', cell: ({ reason }) => reason.toLowerCase().replaceAll('_', ' '), width: '56%' },
  { name: 'Call', cell: ({ operation }) => operation, more: true },
  { name: '5 min', cell: ({ lastFiveMinutes }) => count(lastFiveMinutes), number: true },
  { name: '1 h', cell: ({ lastHour }) => count(lastHour), number: true },
]

/** @param {Screen} screen */
export function RequestsPanel({ sections: { requests }, rows, onOpen }) {
  const waiting = (requests?.waitingNow ?? 0) + (requests?.handshakesWaiting ?? 0)
  const hidden = Math.max(0, (requests?.refused.length ?? 0) - rows.middle + 1)
  return html`<${Panel} id="requests" name="Requests" shortcut=${shortcutOf('requests')} onOpen=${onOpen} hidden=${hidden}
    note=${requests ? html`<${Shape} mark=${waiting > 0 ? 'warning' : 'ok'} /> ${count(waiting)} waiting now` : ''}>
    <p class="line-of-text">${waitWords(requests)}</p>
    <${RefusalTable} sections=${{ requests }} most=${rows.middle - 1} />
  <//>`
}

/** @param {Screen['sections']['requests']} requests */
function waitWords(requests) {
  const { waitedLastHour = 0, meanWaitMs = 0 } = requests ?? {}
  if (waitedLastHour === 0) return 'None had to wait within the hour'
  return `${count(waitedLastHour)} waited in 1 h, ${meanWaitMs < 1_000 ? `${meanWaitMs} ms` : duration(meanWaitMs)} each`
}

/** @param {{ sections: Pick<Screen['sections'], 'requests'>, most?: number, large?: boolean }} props */
export function RefusalTable({ sections: { requests }, most = 1_000, large = false }) {
  return html`<${Table} caption="Requests refused, by reason" columns=${REFUSAL_COLUMNS} rows=${requests?.refused ?? []} most=${most} large=${large}
    empty="None was refused within the hour." />`
}

/** @param {Screen} screen */
export function LevelsPanel(screen) {
  const { sections, rows, onOpen } = screen
  const { levels } = sections
  const hidden = Math.max(0, (levels?.rows.length ?? 0) - rows.middle)
  const lowered = levels?.loweredKeys ?? 0
  return html`<${Panel} id="levels" name="Levels" shortcut=${shortcutOf('levels')} onOpen=${onOpen} hidden=${hidden}
    note=${levels ? html`<${Shape} mark=${lowered > 0 ? 'warning' : 'ok'} /> ${count(lowered)} lowered` : ''}>
    <${LevelTable} ...${screen} most=${rows.middle} />
  <//>`
}

/** @param {Screen & { most?: number, large?: boolean }} props */
export function LevelTable({ sections: { levels }, most = 1_000, large = false }) {
  const keys = Math.max(
    1,
    (levels?.rows ?? []).reduce((all, row) => all + row.keys, 0),
  )
  /** @type {Column[]} */
  const columns = [
    { name: 'Level, path', cell: ({ level, path }) => `${level}, ${path}`, width: '52%' },
    { name: 'Share', cell: row => html`<${Bar} share=${row.keys / keys} />`, title: row => percent(row.keys / keys) },
    { name: 'Keys', cell: row => count(row.keys), number: true, width: '24%' },
    { name: 'Key', cell: ({ bits }) => amount(bits), number: true, more: true },
  ]
  return html`<${Table} caption="Security levels of the keys of the last hour" columns=${columns} rows=${levels?.rows ?? []} most=${most} large=${large}
    empty="No key within the hour." />`
}

/** @param {Screen} screen */
export function SessionsPanel(screen) {
  const { sections, rows, onOpen } = screen
  const { sessions } = sections
  const hidden = Math.max(0, (sessions?.rows.length ?? 0) - rows.bottom)
  const note = (sessions?.counts ?? []).map(
    ({ integration, inUse, proven }) =>
      `${integrationName(integration)} ${count(inUse)}${proven < inUse ? ` (${proven} proven)` : ''}`,
  )
  return html`<${Panel} id="sessions" name="Sessions on keys" shortcut=${shortcutOf('sessions')} onOpen=${onOpen} hidden=${hidden}
    note=${note.join(' · ')}>
    <${SessionTable} ...${screen} most=${rows.bottom} />
  <//>`
}

/** @param {Screen & { most?: number, large?: boolean }} props */
export function SessionTable({ sections: { sessions }, atMs, most = 1_000, large = false }) {
  /** @type {Column[]} */
  const columns = [
    { name: 'Kind', cell: ({ integration }) => integrationName(integration), width: '15%' },
    { name: 'Session', cell: ({ session }) => session, width: '32%' },
    { name: 'Hosts', cell: ({ saeId, peerSaeId }) => `${saeId || '–'} – ${peerSaeId}`, more: true },
    { name: 'Level', cell: ({ level }) => level ?? '–', more: true },
    { name: 'Key age', cell: ({ keyedAtMs }) => duration(atMs - keyedAtMs), number: true, width: '17%' },
    { name: 'Since', cell: ({ keyedAtMs }) => clock(keyedAtMs), more: true },
    { name: 'key_ID', cell: ({ keyId }) => keyId, more: true },
    {
      name: 'Proof of use',
      cell: ({ proof, failure }) => {
        if (failure) return html`<${Shape} mark="bad" /> not changed: ${failure}`
        return proof ? html`<${Shape} mark="ok" /> ${proof}` : html`<${Shape} mark="off" /> the host’s word alone`
      },
      title: ({ proof, failure }) => (failure ? `The last change of the key failed: ${failure}` : (proof ?? '')),
    },
  ]
  return html`<${Table} caption="Sessions that stand on keys, the oldest keys first" columns=${columns} rows=${sessions?.rows ?? []} most=${most} large=${large}
    empty="No host has told of a session." />`
}
