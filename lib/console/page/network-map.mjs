import { html } from './html.mjs'
import { percent, rate } from './words.mjs'

/** @typedef {import('../sections.ts').MapSection} MapSection */
/** @typedef {import('../sections.ts').MapSite} MapSite */
/** @typedef {import('../sections.ts').MapLink} MapLink */

/** Width and height in the pixels of the picture. */
const SMALL = [400, 206]
const LARGE = [640, 400]
const MARGIN = { x: 58, top: 20, bottom: 34 }
/** With more links than this only those that are not up have words. */
const MOST_WORDS = 9
const MOST_NAMES = 24

/**
 * @param {MapLink} link
 * @returns {string} the state of a link in words
 */
export function linkWords({ state, reason, rateBps, loadBps, out }) {
  const load = loadBps === undefined ? '' : `, plan sends ${rate(loadBps)}`
  const kept = out === undefined ? '' : `, ${out}`
  const why = reason === undefined ? '' : `: ${reason}`
  return state === 'up' ? `up, ${rate(rateBps)}${load}${kept}` : `${state}${why}${kept}`
}

/**
 * The network as a picture, with the same in words for who does not see it.
 * @param {{ map: MapSection, large?: boolean }} props
 */
export function NetworkMap({ map: { sites, links }, large = false }) {
  if (sites.length === 0) return html`<p class="empty">No site is known yet.</p>`
  const size = large ? LARGE : SMALL
  const places = new Map(sites.map(site => [site.siteId, place(site, size)]))
  const wordy = links.length <= MOST_WORDS
  return html`<svg class="map" viewBox=${`0 0 ${size.join(' ')}`} role="img" aria-label=${summary(sites, links)}>
    ${links.map(link => html`<${Fibre} key=${link.linkId} link=${link} from=${places.get(link.a)} to=${places.get(link.b)} wordy=${wordy} />`)}
    ${sites.map(site => html`<${Dot} key=${site.siteId} site=${site} at=${places.get(site.siteId)} named=${sites.length <= MOST_NAMES || site.state !== 'joined'} />`)}
  </svg>`
}

/** @param {{ link: MapLink, from: { x: number, y: number } | undefined, to: { x: number, y: number } | undefined, wordy: boolean }} props */
function Fibre({ link, from, to, wordy }) {
  if (from === undefined || to === undefined) return null
  const { state, rateBps, loadBps, out } = link
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2]
  const share = loadBps === undefined || rateBps === 0 ? undefined : loadBps / rateBps
  const used = share === undefined ? '' : ` · ${percent(share)} used`
  const words = state === 'up' ? `${rate(rateBps)}${used}` : state.toUpperCase()
  const kept = out === undefined ? '' : ` · ${out}`
  return html`<g class=${`fibre ${state}`}>
    <title>${`${link.linkId}: ${linkWords(link)}`}</title>
    <line x1=${from.x} y1=${from.y} x2=${to.x} y2=${to.y} />
    ${state === 'down' ? html`<path class="cross" d=${`M${x - 6} ${y - 6}l12 12M${x + 6} ${y - 6}l-12 12`} />` : null}
    ${state === 'degraded' ? html`<path class="triangle" d=${`M${x} ${y - 7}l7 13h-14Z`} />` : null}
    ${wordy || state !== 'up' ? html`<${Words} x=${x} y=${y + (state === 'up' ? 3.5 : 19)} text=${words + kept} />` : null}
  </g>`
}

/**
 * Words on a ground of their own, so that no line runs through them.
 * @param {{ x: number, y: number, text: string }} props
 */
function Words({ x, y, text }) {
  const width = text.length * 5.9 + 8
  return html`<rect class="ground" x=${x - width / 2} y=${y - 9.5} width=${width} height="13" />
    <text x=${x} y=${y}>${text}</text>`
}

/** @param {{ site: MapSite, at: { x: number, y: number } | undefined, named: boolean }} props */
function Dot({ site: { siteId, state }, at, named }) {
  if (at === undefined) return null
  const { x, y } = at
  const words = { here: 'this site', joined: '', away: 'away', unknown: 'not heard of' }[state]
  const isThere = state === 'here' || state === 'joined'
  return html`<g class=${`place ${state}`}>
    <title>${`${siteId}${words === '' ? '' : `: ${words}`}`}</title>
    ${isThere ? html`<circle cx=${x} cy=${y} r="6.5" />` : html`<rect x=${x - 6} y=${y - 6} width="12" height="12" />`}
    ${state === 'here' ? html`<circle class="ring" cx=${x} cy=${y} r="10" />` : null}
    ${named ? html`<text x=${x} y=${y + 23}>${cut(siteId)}${words === '' ? '' : ` (${words})`}</text>` : null}
  </g>`
}

/**
 * @param {MapSite} site
 * @param {number[]} size
 */
function place({ x, y }, [width = 0, height = 0]) {
  return {
    x: MARGIN.x + x * (width - 2 * MARGIN.x),
    y: MARGIN.top + y * (height - MARGIN.top - MARGIN.bottom),
  }
}

/** @param {string} name */
function cut(name) {
  return name.length > 18 ? `${name.slice(0, 17)}…` : name
}

/**
 * @param {readonly MapSite[]} sites
 * @param {readonly MapLink[]} links
 */
function summary(sites, links) {
  /** @param {string} state */
  const inState = state => links.filter(link => link.state === state).length
  const broken = links.filter(({ state }) => state !== 'up').map(({ linkId, state }) => `${linkId} ${state}`)
  const counts = `${sites.length} sites, ${links.length} links: ${inState('up')} up, ${inState('degraded')} degraded, ${inState('down')} down`
  return broken.length === 0 ? counts : `${counts} (${broken.slice(0, 5).join(', ')})`
}
