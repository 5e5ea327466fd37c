import { usageError } from './command.ts'

/** Where to listen or connect. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Reads the value of an option that is `host:port`; throws an error of usage that names it. */
export function parseHostPort(option: string, text: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535)
    throw usageError(`--${option} must be host:port, such as 127.0.0.1:7100 or [::1]:7100`)
  return { host: match[1] ?? match[2]!, port }
}
