import { Bar, HourChart, Legend, Spark } from './charts.mjs'
import { html } from './html.mjs'
import { markOf, Shape } from './icons.mjs'
import { shortcutOf } from './keyboard.mjs'
import { linkWords, NetworkMap } from './network-map.mjs'
import { Panel, Table } from './tables.mjs'
import { amount, count, lasts, percent, rate } from './words.mjs'

/** @typedef {import('./app.mjs').Screen} Screen */
/** @typedef {import('./tables.mjs').Column} Column */

/** @type {Column[]} */
const LINK_COLUMNS = [
  { name: 'Link', cell: ({ linkId }) => linkId },
  { name: 'Between', cell: ({ a, b }) => `${a} – ${b}` },
  { name: 'State', cell: link => html`<${Shape} mark=${markOf(link.state)} /> ${linkWords(link)}`, title: linkWords },
  { name: 'Yields', cell: ({ rateBps }) => rate(rateBps), number: true },
  { name: 'QBER', cell: ({ qber }) => (qber === undefined ? '–' : percent(qber)), number: true },
  { name: 'Secret by', cell: ({ secrecy }) => secrecy },
]

/** @param {Screen} screen */
export function MapPanel({ sections: { map, about }, onOpen }) {
  const down = map.links.filter(({ state }) => state === 'down').length
  const up = map.links.filter(({ state }) => state === 'up').length
  const note = `${up} of ${map.links.length} links up${down > 0 ? `, ${down} down` : ''}`
  return html`<${Panel} id="map" name="Network" shortcut=${shortcutOf('map')} note=${note} onOpen=${onOpen}>
    <${NetworkMap} map=${map} large=${about.kind === 'controller'} />
    <p class="foot">${map.seenBy === 'controller' ? 'The whole network, as its controller sees it' : 'The links of this site alone'}</p>
    <div class="unseen"><${Table} caption="Links" columns=${LINK_COLUMNS} rows=${map.links} large=${true} empty="No links" /></div>
  <//>`
}

/** @param {Screen} screen */
export function MapTable({ sections: { map } }) {
  /** @type {Column[]} */
  const sites = [
    { name: 'Site', cell: ({ siteId }) => siteId },
    { name: 'State', cell: ({ state }) => (state === 'here' ? 'this site' : state) },
  ]
  return html`<${Table} caption="Links" columns=${LINK_COLUMNS} rows=${map.links} large=${true} empty="No links" />
    <${Table} caption="Sites" columns=${sites} rows=${map.sites} large=${true} empty="No sites" />`
}

/**
 * @param {Screen} screen
 * @returns {Column[]}
 */
function poolColumns({ history }) {
  return [
    {
      name: 'Site',
      width: '21%',
      title: ({ peer }) => peer,
      cell: ({ peer, connected, degraded }) => [
        html`<${Shape} mark=${connected ? (degraded ? 'warning' : 'ok') : 'bad'} /> `,
        peer,
        connected ? null : html`<span class="state"> away</span>`,
      ],
    },
    { name: 'Stock', cell: ({ stockCells }) => count(stockCells), number: true },
    {
      name: 'Last hour',
      width: '13%',
      title: () => '',
      cell: ({ peer }) => html`<${Spark} values=${history.series[`stock ${peer}`]} />`,
    },
    { name: 'In', cell: ({ generationBps }) => rate(generationBps), number: true },
    {
      name: 'Out',
      cell: ({ consumptionBps, peerConsumptionBps }) => rate(consumptionBps + peerConsumptionBps),
      title: ({ consumptionBps, peerConsumptionBps }) =>
        `${rate(consumptionBps)} here, ${rate(peerConsumptionBps)} there`,
      number: true,
    },
    {
      name: 'Lasts',
      width: '15%',
      cell: ({ exhaustionMs }) => (exhaustionMs === null ? 'not used' : lasts(exhaustionMs)),
      number: true,
    },
    { name: 'Waiting', cell: ({ waiting }) => count(waiting), number: true, width: '11%' },
    { name: 'Under lease', cell: ({ leasedCells }) => count(leasedCells), number: true, more: true },
    { name: 'Virtual', cell: ({ virtualCells }) => count(virtualCells), number: true, more: true },
    { name: 'Out here', cell: ({ consumptionBps }) => rate(consumptionBps), number: true, more: true },
    { name: 'Out there', cell: ({ peerConsumptionBps }) => rate(peerConsumptionBps), number: true, more: true },
    {
      name: 'Network',
      cell: ({ degraded }) => (degraded ? 'gives less than is asked' : 'gives what is asked'),
      more: true,
    },
  ]
}

/** @param {Screen} screen */
export function PoolsPanel(screen) {
  const { sections, rows, onOpen } = screen
  const { pools } = sections
  const stock = (pools ?? []).reduce((all, { stockCells }) => all + stockCells, 0)
  const hidden = Math.max(0, (pools?.length ?? 0) - rows.top)
  return html`<${Panel} id="pools" name="Pools" shortcut=${shortcutOf('pools')} onOpen=${onOpen} hidden=${hidden}
    note=${pools ? `${count(stock)} keys of 256 bits can be issued here` : ''}>
    <${PoolTable} ...${screen} most=${rows.top} />
  <//>`
}

/**
 * In place of the pools, which a controller knows nothing of.
 * @param {Screen} screen
 */
export function PairsPanel(screen) {
  const { sections, rows, onOpen } = screen
  const { length } = sections.plan.rows
  return html`<${Panel} id="pools" name="Pairs" shortcut=${shortcutOf('pools')} onOpen=${onOpen} hidden=${Math.max(0, length - rows.middle)}
    note="Stocks, hosts and sessions: on the console of each site">
    <${PlanTable} ...${screen} most=${rows.middle} />
  <//>`
}

/** @param {Screen & { most?: number, large?: boolean }} props */
export function PoolTable({ most = 1_000, large = false, ...screen }) {
  // What lasts shortest is what a look is for.
  const sorted = [...(screen.sections.pools ?? [])].sort(
    (p, q) => (p.exhaustionMs ?? Infinity) - (q.exhaustionMs ?? Infinity) || (p.peer < q.peer ? -1 : 1),
  )
  return html`<${Table} caption="Pools by site" columns=${poolColumns(screen)} rows=${sorted} most=${most} large=${large}
    empty="No pool has been filled yet." />`
}

/** @param {Screen} screen */
export function ConsumersPanel(screen) {
  const { sections, rows, onOpen } = screen
  const { consumers } = sections
  const hidden = Math.max(0, (consumers?.rows.length ?? 0) - rows.middle) + (consumers?.others.count ?? 0)
  return html`<${Panel} id="consumers" name="Who takes the key" shortcut=${shortcutOf('consumers')} onOpen=${onOpen} hidden=${hidden}
    note=${consumers ? `${amount(consumers.totalBits)} in 1 h` : ''}>
    <${ConsumerTable} ...${screen} most=${rows.middle} />
  <//>`
}

/** @param {Screen & { most?: number, large?: boolean }} props */
export function ConsumerTable({ sections: { consumers }, most = 1_000, large = false }) {
  const total = Math.max(1, consumers?.totalBits ?? 1)
  /** @type {Column[]} */
  const columns = [
    { name: 'Hosts', cell: ({ master, slave }) => `${master} → ${slave}`, width: '45%' },
    { name: 'Site', cell: ({ peer }) => peer, more: true },
    { name: 'Begun', cell: ({ direction }) => (direction === 'out' ? 'here' : 'there'), more: true },
    {
      name: 'Share',
      cell: ({ bits }) => html`<${Bar} share=${bits / total} />`,
      title: ({ bits }) => percent(bits / total),
    },
    { name: 'Keys', cell: ({ keys }) => count(keys), number: true, more: true },
    { name: 'Key', cell: ({ bits }) => amount(bits), number: true, width: '24%' },
  ]
  return html`<${Table} caption="Who takes the key, last hour" columns=${columns} rows=${consumers?.rows ?? []} most=${most} large=${large}
    empty="No host has taken a key within the hour." />`
}

/** @param {Screen} screen */
export function PlanPanel({ sections, history, atMs, onOpen }) {
  const { plan, about } = sections
  const gap = plan.gap === null ? '' : `, gap ${percent(plan.gap)}`
  const note = plan.epoch === null ? 'no plan yet' : `plan ${plan.epoch}${gap}`
  const unserved = plan.rows.filter(({ askedBps, grantedBps }) => grantedBps < askedBps)
  const third = about.kind === 'site' ? 'taken' : 'on links'
  const lines = [
    { name: 'asked', series: 'asked', value: rate(plan.askedBps) },
    { name: 'granted', series: 'granted', value: rate(plan.grantedBps) },
    { name: third, series: 'consumption', value: rate(Math.max(0, history.series.consumption?.at(-1) ?? 0)) },
  ]
  const short =
    unserved.length === 0
      ? 'every pair is given what it asks'
      : `${unserved.length} of ${plan.rows.length} pairs get less than they ask`
  const label = `Last hour: ${lines.map(({ name, value }) => `${name} ${value}`).join(', ')}`
  return html`<${Panel} id="plan" name="Demand and plan" shortcut=${shortcutOf('plan')} note=${note} onOpen=${onOpen}>
    <${HourChart} label=${label} history=${history} atMs=${atMs} lines=${lines} words=${rate} />
    <${Legend} lines=${lines} />
    <p class="foot"><${Shape} mark=${unserved.length === 0 ? 'ok' : 'warning'} /> ${short}</p>
  <//>`
}

/** @param {Screen & { most?: number, large?: boolean }} props */
export function PlanTable({ sections: { plan }, most = 1_000, large = false }) {
  /** @type {Column[]} */
  const columns = [
    { name: 'Pair', cell: ({ a, b }) => `${a} – ${b}` },
    { name: 'Asked', cell: ({ askedBps }) => rate(askedBps), number: true },
    { name: 'Granted', cell: ({ grantedBps }) => rate(grantedBps), number: true },
    { name: 'Missing', cell: ({ askedBps, grantedBps }) => rate(Math.max(0, askedBps - grantedBps)), number: true },
    { name: 'Because', cell: ({ reason }) => reason ?? '', more: true },
  ]
  const sorted = [...plan.rows].sort((p, q) => q.askedBps - q.grantedBps - (p.askedBps - p.grantedBps))
  return html`<${Table} caption="Demand and plan by pair" columns=${columns} rows=${sorted} most=${most} large=${large}
    empty="Nobody asks for key." />`
}
