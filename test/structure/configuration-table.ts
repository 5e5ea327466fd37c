/** The part of JSON Schema that our configuration schemas use. */
interface SchemaNode {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly additionalProperties?: boolean | SchemaNode
}

/** A Markdown table with a row for each field of `schema`, lists as `name[]`, values under names of the user's as `name.*`. */
export function configurationTable(schema: SchemaNode): string {
  return ['| Field | Value | Default |', '| --- | --- | --- |', ...rows(schema, '')].join('\n')
}

function rows(schema: SchemaNode, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}${field.type === 'array' ? '[]' : ''}`
    const inner = field.items ?? field
    const each = field.items?.type === 'object' || field.items === undefined ? '' : describe(field.items)
    const here = each === '' ? '' : ` (${each})`
    const row = `| \`${path}\` | ${describe(field)}${here} | ${fallback(schema, name, field)} |`
    const named = typeof field.additionalProperties === 'object' ? field.additionalProperties : {}
    return [row, ...rows(inner, `${path}.`), ...rows(named, `${path}.*.`)]
  })
}

function describe({ description = '', enum: values }: SchemaNode): string {
  const choice = values === undefined ? '' : `: ${values.map(value => `\`${String(value)}\``).join(' or ')}`
  return `${description}${choice}`.replace(/^: /, '').replaceAll('|', '\\|')
}

function fallback(parent: SchemaNode, name: string, field: SchemaNode): string {
  const isEmpty = typeof field.default === 'object' && Object.keys(field.default ?? {}).length === 0
  if (field.default !== undefined && !isEmpty) return `\`${JSON.stringify(field.default).replaceAll('"', '')}\``
  return parent.required?.includes(name) ? 'required' : ''
}

/** `page` with the text between the markers `<!-- name -->` and `<!-- /name -->` replaced. */
export function replaceBlock(page: string, name: string, block: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [start, end] = [page.indexOf(open), page.indexOf(close)]
  if (start === -1 || end < start) throw new Error(`The page has no block ${open} … ${close}`)
  return `${page.slice(0, start + open.length)}\n\n${block}\n\n${page.slice(end)}`
}
