import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of a program, or undefined where this machine has none of that name. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders.filter(Boolean)) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

/**
 * The path of a program that a test needs as its peer. Where it is missing the test is skipped with the reason printed;
 * with `CI` set it fails, so that a green run there means that every peer was tried.
 */
export function peerProgram(test: { skip(): never }, name: string, debianPackage: string): string {
  const path = findProgram(name)
  if (path !== undefined) return path
  return withoutPeer(test, `${name} is not installed (Debian package ${debianPackage})`)
}

/** Skips the test and prints why its peer can't run here; with `CI` set it fails instead. */
export function withoutPeer(test: { skip(): never }, reason: string): never {
  if (process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false') throw new Error(reason)
  console.log(`      skipped: ${reason}`)
  return test.skip()
}
