/** An element as text; attributes that are undefined are left out. `children` are markup already. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  ...children: readonly string[]
): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeText(typeof value === 'number' ? shortNumber(value) : String(value))}"`)
  return `<${name}${written.join('')}>${children.join('')}</${name}>`
}

/** Text as it may stand between tags and in attributes. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}

/** A label: text, escaped, at a place. */
export function label(text: string, x: number, y: number, attributes: Record<string, string | number> = {}): string {
  return element('text', { x, y, ...attributes }, escapeText(text))
}

function shortNumber(value: number): string {
  return String(Number(value.toFixed(2)))
}
