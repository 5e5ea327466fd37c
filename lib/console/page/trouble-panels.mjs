import { Timeline } from './charts.mjs'
import { html } from './html.mjs'
import { markOf, markOfSeverity, Shape } from './icons.mjs'
import { shortcutOf } from './keyboard.mjs'
import { Panel, Table } from './tables.mjs'
import { clock, duration } from './words.mjs'

/** @typedef {import('./app.mjs').Screen} Screen */
/** @typedef {import('./tables.mjs').Column} Column */
/** @typedef {import('../sections.ts').AlarmRow} AlarmRow */

/** @param {Screen} screen */
export function AlarmsPanel({ sections: { alarms }, rows, atMs, onOpen }) {
  const { standing, over } = alarms
  // An alarm takes two lines, or three where there is room for all of it.
  const most = Math.floor((rows.top + 1) / 2)
  const isRoomy = standing.length <= rows.top / 3
  const shown = standing.slice(0, most)
  const past = over.slice(0, Math.max(0, most - shown.length - (isRoomy ? 1 : 0)))
  const hidden = standing.length - shown.length
  return html`<${Panel} id="alarms" name="Alarms" shortcut=${shortcutOf('alarms')} onOpen=${onOpen} hidden=${hidden} note=${alarmWords(standing)}>
    ${standing.length === 0 ? html`<p class="line-of-text"><${Shape} mark="ok" /> No alarm stands.</p>` : null}
    <ul class=${isRoomy ? 'alarms wrap' : 'alarms'}>
      ${shown.map(alarm => html`<${Alarm} key=${alarm.id} alarm=${alarm} atMs=${atMs} />`)}
      ${past.map(alarm => html`<${Alarm} key=${`${alarm.id} ${alarm.clearedAtMs}`} alarm=${alarm} atMs=${atMs} />`)}
    </ul>
  <//>`
}

/** @param {{ alarm: AlarmRow, atMs: number }} props */
function Alarm({ alarm: { severity, text, raisedAtMs, clearedAtMs, acknowledged }, atMs }) {
  const isOver = clearedAtMs !== undefined
  const since = isOver ? `over since ${clock(clearedAtMs).slice(0, 5)}` : `for ${duration(atMs - raisedAtMs)}`
  return html`<li class=${isOver ? 'over' : severity}>
    <p class="what">
      <${Shape} mark=${isOver ? 'off' : markOfSeverity(severity)} /> <b>${isOver ? 'over' : severity}</b>
      ${acknowledged ? html`<span class="seen">acknowledged</span>` : null}
      <span class="since">${since}</span>
    </p>
    <p class="text" title=${text}><bdi>${text}</bdi></p>
  </li>`
}

/**
 * @param {readonly AlarmRow[]} standing
 * @returns {string} how many of which severity
 */
export function alarmWords(standing) {
  const counts = ['critical', 'major', 'minor', 'warning']
    .map(each => [standing.filter(({ severity }) => severity === each).length, each])
    .filter(([number]) => number !== 0)
  return counts.map(([number, severity]) => `${number} ${severity}`).join(', ')
}

/** @param {Screen} screen */
export function AlarmTable({ sections: { alarms } }) {
  /** @type {Column[]} */
  const columns = [
    {
      name: 'Severity',
      cell: ({ severity }) => html`<${Shape} mark=${markOfSeverity(severity)} /> ${severity}`,
      title: ({ severity }) => severity,
    },
    {
      name: 'State',
      cell: ({ clearedAtMs, acknowledged }) =>
        clearedAtMs ? `over since ${clock(clearedAtMs)}` : acknowledged ? 'acknowledged' : 'stands',
    },
    { name: 'Raised', cell: ({ raisedAtMs }) => clock(raisedAtMs) },
    { name: 'Alarm', cell: ({ text }) => text },
    { name: 'ID', cell: ({ id }) => id },
  ]
  return html`<${Table} caption="Alarms" columns=${columns} rows=${[...alarms.standing, ...alarms.over]} large=${true} empty="No alarm within the hour." />`
}

/** @param {Screen} screen */
export function InterruptionsPanel({ sections: { interruptions }, rows, atMs, onOpen }) {
  const names = new Set(interruptions.map(({ kind, name }) => `${kind} ${name}`))
  const running = interruptions.filter(({ toMs }) => toMs === undefined).length
  const note = running === 0 ? 'none now' : `${running} now`
  return html`<${Panel} id="interruptions" name="Interruptions" shortcut=${shortcutOf('interruptions')} onOpen=${onOpen}
    hidden=${Math.max(0, names.size - rows.bottom)} note=${html`<${Shape} mark=${running === 0 ? 'ok' : 'bad'} /> ${note}`}>
    <${Timeline} rows=${interruptions} atMs=${atMs} most=${rows.bottom} />
  <//>`
}

/** @param {Screen} screen */
export function InterruptionTable({ sections: { interruptions }, atMs }) {
  /** @type {Column[]} */
  const columns = [
    { name: 'What', cell: ({ kind, name }) => `${kind} ${name}` },
    {
      name: 'State',
      cell: ({ state }) => html`<${Shape} mark=${markOf(state)} /> ${state}`,
      title: ({ state }) => state,
    },
    { name: 'From', cell: ({ fromMs }) => clock(fromMs) },
    { name: 'To', cell: ({ toMs }) => (toMs === undefined ? 'lasts' : clock(toMs)) },
    { name: 'Time', cell: ({ fromMs, toMs }) => duration((toMs ?? atMs) - fromMs), number: true },
    { name: 'Because', cell: ({ reason }) => reason ?? '' },
  ]
  return html`<${Table} caption="Interruptions within the hour" columns=${columns} rows=${interruptions} large=${true} empty="None within the hour." />`
}

/** @type {Column[]} */
const HEALTH_COLUMNS = [
  { name: 'Part', cell: ({ name }) => name, width: '30%' },
  {
    name: 'State',
    cell: ({ state, text }) => html`<${Shape} mark=${state} /> <span class="unseen">${state}: </span>${text}`,
    title: ({ text }) => text,
  },
]

/** @param {Screen} screen */
export function HealthPanel({ sections: { health }, rows, onOpen }) {
  const amiss = health.filter(({ state }) => state === 'bad' || state === 'warning').length
  const hidden = Math.max(0, health.length - rows.bottom)
  const mark = health.some(({ state }) => state === 'bad') ? 'bad' : amiss > 0 ? 'warning' : 'ok'
  return html`<${Panel} id="health" name="Store, audit, backup" shortcut=${shortcutOf('health')} onOpen=${onOpen} hidden=${hidden}
    note=${html`<${Shape} mark=${mark} /> ${amiss === 0 ? 'sound' : `${amiss} to look at`}`}>
    <${Table} caption="What the rest stands on" columns=${HEALTH_COLUMNS} rows=${health} most=${rows.bottom} empty="Nothing is known yet." />
  <//>`
}

/** @param {Screen} screen */
export function HealthTable({ sections: { health } }) {
  return html`<${Table} caption="What the rest stands on" columns=${HEALTH_COLUMNS} rows=${health} large=${true} empty="Nothing is known yet." />`
}
