import htm from 'htm'
import { h, render } from 'preact'

/** Markup by tagged templates. What stands in it is text or an attribute's value, never markup. */
export const html = /** @type {any} */ (htm).bind(h)

export { render }
