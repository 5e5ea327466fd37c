/** An IKE_SA as `swanctl --list-sas --raw` prints it: an observer that has nothing to do with our VICI client. */
export interface ObservedSa {
  readonly connection: string
  readonly uniqueId: string
  readonly state: string
  /** True where the SA was established under a post-quantum pre-shared key. */
  readonly ppk: boolean
  readonly initiator: boolean
  readonly children: readonly ObservedChild[]
}

/** A CHILD_SA of an `ObservedSa`. */
export interface ObservedChild {
  readonly name: string
  readonly uniqueId: string
  readonly reqId: string
  readonly state: string
  readonly bytesIn: number
  readonly bytesOut: number
}

type Section = { [name: string]: string | Section }

/** Reads what `swanctl --list-sas --raw` printed. */
export function parseSas(text: string): ObservedSa[] {
  return text
    .split('\n')
    .filter(line => line.startsWith('list-sa event '))
    .flatMap(line => Object.entries(section(tokens(line.slice('list-sa event '.length)))))
    .map(([connection, body]) => observed(connection, body as Section))
}

function observed(connection: string, body: Section): ObservedSa {
  const children = Object.values((body['child-sas'] ?? {}) as Section) as Section[]
  return {
    connection,
    uniqueId: String(body.uniqueid),
    state: String(body.state),
    ppk: body.ppk === 'yes',
    initiator: body.initiator === 'yes',
    children: children.map(child => ({
      name: String(child.name),
      uniqueId: String(child.uniqueid),
      reqId: String(child.reqid),
      state: String(child.state),
      bytesIn: Number(child['bytes-in']),
      bytesOut: Number(child['bytes-out']),
    })),
  }
}

function tokens(text: string): string[] {
  return text.match(/[^\s{}=]+=\[[^\]]*\]|[^\s{}=]+=[^\s{}]*|[^\s{}]+|[{}]/g) ?? []
}

/** `{name {…} name=value …}`; takes its tokens off the front. */
function section(rest: string[]): Section {
  const found: Section = {}
  rest.shift()
  for (let token = rest.shift(); token !== undefined && token !== '}'; token = rest.shift()) {
    const equals = token.indexOf('=')
    if (rest[0] === '{' && equals === -1) found[token] = section(rest)
    else found[token.slice(0, equals)] = token.slice(equals + 1)
  }
  return found
}
