import { ProtocolError, ViciError } from '../../../lib/index.ts'
import type { ViciSection, ViciValue } from './message.ts'

/** The text behind `name`, or undefined. */
export function textOf(section: ViciSection | undefined, name: string): string | undefined {
  const value = section?.[name]
  return typeof value === 'string' ? value : undefined
}

/** The list behind `name`, as text; empty where there is none. */
export function textsOf(section: ViciSection | undefined, name: string): string[] {
  const value = section?.[name]
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** The number behind `name`; 0 where there is none. */
export function numberOf(section: ViciSection | undefined, name: string): number {
  const number = Number(textOf(section, name) ?? 0)
  return Number.isFinite(number) ? number : 0
}

/** The section behind `name`, or undefined. */
export function sectionOf(section: ViciSection | undefined, name: string): ViciSection | undefined {
  const value = section?.[name]
  return isSection(value) ? value : undefined
}

/** Names and contents of every section right below. */
export function sectionsOf(section: ViciSection | undefined): [name: string, section: ViciSection][] {
  return Object.entries(section ?? {}).filter((entry): entry is [string, ViciSection] => isSection(entry[1]))
}

function isSection(value: ViciValue | undefined): value is ViciSection {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array)
}

/**
 * The answer of a command that did what it was told.
 * @throws {ViciError} it did not; the message says why in charon's words
 */
export function requireSuccess(command: string, answer: ViciSection): ViciSection {
  const success = textOf(answer, 'success')
  if (success === 'yes') return answer
  if (success === undefined) throw new ProtocolError(`charon's answer to ${command} does not say whether it succeeded`)
  const reason = textOf(answer, 'errmsg') ?? 'it does not say why'
  throw new ViciError(`charon refused ${command}: ${reason}`, { details: [{ command, errmsg: reason }] })
}
