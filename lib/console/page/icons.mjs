import { html } from './html.mjs'

/** @typedef {'ok' | 'warning' | 'bad' | 'off'} Mark */

/** A shape for each state, so that no state is told by its colour alone. */
const SHAPES = {
  ok: html`<circle cx="6" cy="6" r="4" />`,
  warning: html`<path d="M6 1.2 11.2 10.6H.8Z" /><path class="in" d="M6 4.6v3M6 8.6v.9" />`,
  bad: html`<path d="M6 .6 11.4 6 6 11.4.6 6Z" /><path class="in" d="M4.2 4.2 7.8 7.8M7.8 4.2 4.2 7.8" />`,
  off: html`<circle class="hollow" cx="6" cy="6" r="3.6" />`,
}

/**
 * A state's shape. Words stand beside it, so a screen reader passes it over.
 * @param {{ mark: Mark }} props
 */
export function Shape({ mark }) {
  return html`<svg class=${`shape ${mark}`} viewBox="0 0 12 12" aria-hidden="true">${SHAPES[mark]}</svg>`
}

/** @type {Record<string, Mark>} */
const MARKS = { up: 'ok', degraded: 'warning', down: 'bad' }

/**
 * @param {'up' | 'degraded' | 'down'} state
 * @returns {Mark}
 */
export function markOf(state) {
  return MARKS[state] ?? 'off'
}

/** @type {Record<string, Mark>} */
const SEVERITIES = { critical: 'bad', major: 'bad', minor: 'warning', warning: 'warning' }

/**
 * @param {string} severity
 * @returns {Mark}
 */
export function markOfSeverity(severity) {
  return SEVERITIES[severity] ?? 'warning'
}
