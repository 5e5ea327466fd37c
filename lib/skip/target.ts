/** The four resources of the protocol. */
export type SkipTarget =
  | { readonly resource: 'capabilities' }
  | { readonly resource: 'new-key' }
  | { readonly resource: 'key'; readonly keyId: string }
  | { readonly resource: 'entropy' }

/** Path and query of a request. */
export interface SkipRequestLine {
  readonly target: SkipTarget
  readonly query: URLSearchParams
}

/** The resource that a request target names, or undefined for a path that is none of the protocol's. */
export function parseSkipTarget(target: string): SkipRequestLine | undefined {
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const named = resourceOf(path)
  return named && { target: named, query: new URLSearchParams(mark === -1 ? '' : target.slice(mark + 1)) }
}

function resourceOf(path: string): SkipTarget | undefined {
  if (path === '/capabilities') return { resource: 'capabilities' }
  if (path === '/key') return { resource: 'new-key' }
  if (path === '/entropy') return { resource: 'entropy' }
  const keyId = /^\/key\/([^/]+)$/.exec(path)?.[1]
  return keyId === undefined ? undefined : { resource: 'key', keyId }
}
