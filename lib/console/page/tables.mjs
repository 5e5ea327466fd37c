import { html } from './html.mjs'

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: any) => any} cell text, or markup
 * @property {(row: any) => string} [title] the whole of what a narrow cell cuts off
 * @property {boolean} [number] stands at the right
 * @property {string} [width] as CSS has it; the others share what is left
 * @property {boolean} [more] in the large table alone
 */

/**
 * A table of at most so many rows.
 * @param {{ caption: string, columns: Column[], rows: readonly any[], most?: number, large?: boolean, empty: string }} props
 */
export function Table({ caption, columns, rows, most = 1_000, large = false, empty }) {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`
  const shown = columns.filter(({ more }) => large || !more)
  return html`<table class=${large ? 'large' : ''}>
    <caption class="unseen">${caption}</caption>
    <thead>
      <tr>
        ${shown.map(({ name, number, width }) => html`<th scope="col" class=${number ? 'number' : ''} width=${large ? undefined : width}>${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.slice(0, most).map(
        row => html`<tr>
          ${shown.map(({ cell, title, number }, at) => {
            const text = cell(row)
            const whole = title?.(row) ?? (typeof text === 'string' ? text : undefined)
            const attributes = { class: number ? 'number' : '', title: whole }
            return at === 0
              ? html`<th scope="row" ...${attributes}><bdi>${text}</bdi></th>`
              : html`<td ...${attributes}><bdi>${text}</bdi></td>`
          })}
        </tr>`,
      )}
    </tbody>
  </table>`
}

/**
 * A part of the screen under a heading, which opens all of it.
 * @param {{ id: string, name: string, shortcut: string, note?: any, hidden?: number, onOpen: (id: string) => void, children?: any }} props
 */
export function Panel({ id, name, shortcut, note, hidden = 0, onOpen, children }) {
  return html`<section class="panel" id=${id} aria-labelledby=${`${id}-name`}>
    <div class="head">
      <h2>
        <button type="button" id=${`${id}-name`} aria-haspopup="dialog" aria-keyshortcuts=${shortcut} onClick=${() => onOpen(id)}>
          ${name}
        </button>
      </h2>
      <span class="note">${note}</span>
      ${hidden > 0 ? html`<span class="hidden-rows">+ ${hidden} more</span>` : null}
      <kbd aria-hidden="true">${shortcut}</kbd>
    </div>
    <div class="body">${children}</div>
  </section>`
}
