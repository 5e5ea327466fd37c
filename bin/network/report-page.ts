import { layOut, type NetworkFile, type NetworkSimulation } from '../../lib/index.ts'
import { xyChart } from '../link/chart.ts'
import { reportStyle } from '../link/report-style.ts'
import { element, escapeText, label } from '../link/svg.ts'
import { countText, percentText, rateText, timeText } from '../link/units.ts'
import { servedShare, worstDemands } from './simulation-words.ts'

const WIDTH = 1160
const HEIGHT = 640
const MARGIN = 34
/** Rows of a table. */
const ROWS = 20

/** A simulated network as one HTML page that needs nothing else: no script, no font, no picture from elsewhere. */
export function networkReportPage(file: NetworkFile, simulation: NetworkSimulation): string {
  const title = `${file.nodes.length} sites, ${file.links.length} links, ${file.demands.length} demands: simulated network`
  const { durationS, plans, planMs, wallS } = simulation
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    element('title', {}, escapeText(title)),
    `<style>${reportStyle}${mapStyle}</style>`,
    '</head>',
    '<body>',
    '<main>',
    element('h1', {}, escapeText(title)),
    element(
      'p',
      { class: 'verdict' },
      escapeText(
        `${timeText(durationS)} of virtual time in ${timeText(wallS)}; ${plans} plans of ${timeText(planMs.median / 1000)} each`,
      ),
    ),
    tiles(simulation),
    map(file, simulation),
    element('div', { class: 'charts' }, ...charts(simulation)),
    demandTable(simulation),
    log(simulation),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

const mapStyle = `
.fibre { stroke: var(--s1); stroke-linecap: round; }
.fibre.busy { stroke: var(--s2); } .fibre.broken { stroke: var(--s4); stroke-dasharray: 7 5; }
.place { fill: var(--card); stroke: var(--text); stroke-width: 1.6; }
.map { margin-top: 14px; }
.log { font-size: .86rem; color: var(--quiet); }
`

function tiles(simulation: NetworkSimulation): string {
  const { planMs, worstGap, memoryMb, links } = simulation
  const busiest = links.reduce((most, { usedShare }) => Math.max(most, usedShare), 0)
  const tile = (name: string, value: string, note: string) =>
    element(
      'li',
      {},
      ...[
        ['span', name],
        ['strong', value],
        ['span', note],
      ].map(([tag, text]) => element(tag!, {}, escapeText(text!))),
    )
  return element(
    'ul',
    { class: 'tiles' },
    tile('Key served', percentText(servedShare(simulation)), 'of what hosts asked for'),
    tile('Plans', `${Math.round(planMs.p95)} ms`, `95 of 100; longest ${Math.round(planMs.max)} ms`),
    tile('Gap', percentText(worstGap), 'of the worst plan to its certified bound'),
    tile('Busiest link', percentText(busiest), `of its key used; memory ${countText(memoryMb)} MB`),
  )
}

function map({ nodes, links }: NetworkFile, simulation: NetworkSimulation): string {
  const places = layOut(
    nodes.map(({ id }) => id),
    links,
  )
  const at = (id: string) => {
    const { x, y } = places.get(id)!
    return [MARGIN + x * (WIDTH - 2 * MARGIN), MARGIN + y * (HEIGHT - 2 * MARGIN)] as const
  }
  const most = Math.max(...links.map(({ rateBps }) => rateBps), 1)
  const lines = simulation.links.map(({ id, a, b, rateBps, usedShare, downS }) => {
    const [x1, y1] = at(a)
    const [x2, y2] = at(b)
    const kind = downS > 0 ? ' broken' : usedShare > 0.8 ? ' busy' : ''
    const down = downS > 0 ? `, down for ${timeText(downS)}` : ''
    const text = `${id}: ${rateText(rateBps)}, ${percentText(usedShare)} used${down}`
    const width = 1.2 + 5 * Math.sqrt(rateBps / most)
    return element(
      'line',
      { class: `fibre${kind}`, x1, y1, x2, y2, 'stroke-width': width },
      element('title', {}, escapeText(text)),
    )
  })
  const named = nodes.length <= 120
  const dots = nodes.map(({ id }) => {
    const [cx, cy] = at(id)
    const dot = element('circle', { class: 'place', cx, cy, r: 5 }, element('title', {}, escapeText(id)))
    return named ? dot + label(id, cx + 8, cy - 6) : dot
  })
  const key = ['width by rate', 'orange: more than 80 % used', 'dashed: was down'].map(text =>
    element('li', {}, escapeText(text)),
  )
  return element(
    'figure',
    { class: 'map' },
    element('figcaption', {}, 'Map'),
    element('ul', { class: 'legend' }, ...key),
    element('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': 'Map' }, ...lines, ...dots),
  )
}

function charts({ samples }: NetworkSimulation): string[] {
  const line = (name: string, series: number, of: (sample: NetworkSimulation['samples'][number]) => number) => ({
    name,
    series,
    as: 'line' as const,
    points: samples.map(sample => [sample.atS / 3600, of(sample)] as const),
  })
  const common = { xName: 'virtual time, h', xText: String }
  return [
    xyChart(
      [line('asked by hosts', 1, ({ wantedBps }) => wantedBps), line('served', 3, ({ servedBps }) => servedBps)],
      {
        ...common,
        title: 'Key for hosts',
        yName: 'all pairs together',
        yText: rateText,
      },
    ),
    xyChart(
      [line('ordered by pools', 1, ({ orderedBps }) => orderedBps), line('granted', 2, ({ grantedBps }) => grantedBps)],
      {
        ...common,
        title: 'Key from the network',
        yName: 'all pairs together',
        yText: rateText,
      },
    ),
    xyChart([line('level that every order reaches', 3, ({ lambda }) => lambda)], {
      ...common,
      title: 'Plans',
      yName: 'lambda',
      yText: value => String(Number(value.toFixed(2))),
      yAtLeast: 1,
    }),
    xyChart([line('links that are down', 4, ({ linksDown }) => linksDown)], {
      ...common,
      title: 'Interruptions',
      yName: 'links',
      yText: value => (Number.isInteger(value) ? String(value) : ''),
      yAtLeast: 2,
    }),
  ]
}

function demandTable(simulation: NetworkSimulation): string {
  const rows = worstDemands(simulation, ROWS).map(({ id, a, b, wantedBits, servedBits }) => [
    id,
    `${a} – ${b}`,
    `${countText(wantedBits / 8000)} kB`,
    percentText(servedBits / wantedBits),
  ])
  const cells = (name: string, row: readonly string[]) =>
    element('tr', {}, ...row.map(text => element(name, {}, escapeText(text))))
  return element(
    'section',
    {},
    element('h2', {}, 'Demands that were served worst'),
    element(
      'div',
      { class: 'scroll' },
      element('table', {}, cells('th', ['Demand', 'Between', 'Asked', 'Served']), ...rows.map(row => cells('td', row))),
    ),
  )
}

function log({ log: lines }: NetworkSimulation): string {
  const shown = lines.filter(({ atS }) => atS > 0).slice(0, 200)
  const items = shown.map(({ atS, text }) => element('li', {}, escapeText(`${(atS / 3600).toFixed(2)} h: ${text}`)))
  if (items.length === 0) items.push(element('li', {}, 'Nothing broke'))
  return element('section', {}, element('h2', {}, 'What happened'), element('ul', { class: 'log' }, ...items))
}
