import type { ViciSection, ViciValue } from '../vici/message.ts'

/** A message as a section of swanctl.conf: the two hold the same, and a list is a line with commas. */
export function formatSettings(section: ViciSection, { indent = 0 }: { indent?: number } = {}): string[] {
  const margin = ' '.repeat(indent)
  return Object.entries(section).flatMap(([name, value]) => {
    if (value === undefined) return []
    const text = textOf(value)
    if (text !== undefined) return [`${margin}${name} = ${text}`]
    return [`${margin}${name} {`, ...formatSettings(value as ViciSection, { indent: indent + 2 }), `${margin}}`]
  })
}

function textOf(value: ViciValue): string | undefined {
  if (typeof value === 'string') return quote(value)
  return Array.isArray(value) ? quote(value.join(', ')) : undefined
}

/** Quotes what the format would read otherwise. */
function quote(text: string): string {
  if (/^[^\s{}#="\\]([^\n{}#"\\]*[^\s{}#"\\])?$/.test(text)) return text
  return `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`
}
