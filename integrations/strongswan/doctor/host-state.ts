import { X509Certificate } from 'node:crypto'
import { constants } from 'node:fs'
import { access, readFile, stat } from 'node:fs/promises'
import type { IpsecAgentConfig } from '../agent-config.ts'
import { type Finding, finder } from './finding.ts'

const SOON_MS = 14 * 24 * 3_600_000

/** Looks at charon's socket: who may use it may read nothing, but load and end what they like. */
export async function examineViciSocket({ viciSocket }: IpsecAgentConfig): Promise<Finding[]> {
  const find = finder('vici socket')
  try {
    const status = await stat(viciSocket)
    if (!status.isSocket())
      return [find.fault(`${viciSocket} is no socket`, 'set viciSocket to charon.plugins.vici.socket')]
    if ((status.mode & 0o007) !== 0) {
      return [find.fault(`everybody may use ${viciSocket}`, `run chmod o= ${viciSocket}, and look who has changed it`)]
    }
    await access(viciSocket, constants.R_OK | constants.W_OK)
    return [find.ok(viciSocket)]
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return [find.fault(`${viciSocket} is missing`, 'start charon, with its plugin vici loaded')]
    return [find.fault(`${viciSocket}: ${code}`, 'run the agent as root, or in the group that charon.group names')]
  }
}

/** Looks at the programs that charon shall call. */
export async function examineHooks({ connections, spoolDir }: IpsecAgentConfig): Promise<Finding[]> {
  const find = finder('updown')
  const findings: Finding[] = []
  for (const { name, children } of connections) {
    for (const { name: child, settings } of children) {
      const at = `${name}, child ${child}`
      const { updown } = settings
      if (typeof updown !== 'string') {
        const mend = 'run qkd ipsec hook install, and set "updown" in the settings of the child'
        findings.push(find.warning(`${at}: charon tells the agent of no up and down`, mend))
      } else findings.push(...(await examineHook(at, updown, spoolDir)))
    }
  }
  return findings
}

async function examineHook(at: string, updown: string, spoolDir: string): Promise<Finding[]> {
  const find = finder('updown')
  const path = updown.split(/\s/)[0]!
  let text: string
  try {
    await access(path, constants.X_OK)
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return [find.fault(`${at}: ${path} can't be run (${code})`, `run qkd ipsec hook install --output ${path}`)]
  }
  if (/^#!.*\bnode\b/.test(text)) {
    const mend = 'use the hook of qkd ipsec hook install, and onUpdown for your program'
    return [find.fault(`${at}: ${path} starts Node while charon holds the IKE_SA`, mend)]
  }
  const spool = /^spool=(.*)$/m.exec(text)?.[1]
  if (spool === spoolDir) return [find.ok(`${at}: ${path}`)]
  if (spool === undefined) {
    const mend = `run qkd ipsec hook install, and set "updown": "HOOK; ${updown}"`
    return [find.warning(`${at}: ${path} is not the hook of the agent`, mend)]
  }
  return [
    find.fault(`${at}: ${path} writes to ${spool}, the agent reads ${spoolDir}`, 'run qkd ipsec hook install again'),
  ]
}

/** Looks for the device that ESP in user space needs, or for the kernel's own ESP. */
export async function examineEsp({ userSpace }: { userSpace: boolean }): Promise<Finding> {
  const find = finder('ESP')
  const path = userSpace ? '/dev/net/tun' : '/proc/net/xfrm_stat'
  const there = await access(path).then(
    () => true,
    () => false,
  )
  if (there) return find.ok(userSpace ? 'in user space, and there is a TUN device' : "the kernel's own")
  if (userSpace) return find.fault(`${path} is missing: no tunnel comes up`, 'load the module tun, or allow the device')
  // Kernels without XFRM statistics have no such file and may have ESP all the same.
  return find.unknown('the kernel does not say whether it has ESP', 'look into the log of charon for "not implemented"')
}

/** Looks at secrets that others could read. */
export async function examineSecretFiles({ connections }: IpsecAgentConfig): Promise<Finding[]> {
  const find = finder('secret files')
  const findings: Finding[] = []
  for (const { name, secretFile } of connections) {
    if (secretFile === undefined) continue
    try {
      const { mode } = await stat(secretFile)
      if ((mode & 0o077) !== 0)
        findings.push(find.fault(`${name}: others may read ${secretFile}`, `chmod 0600 ${secretFile}`))
      else findings.push(find.ok(`${name}: ${secretFile}`))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      findings.push(find.fault(`${name}: ${secretFile} can't be read (${code})`, 'make it, with mode 0600'))
    }
  }
  return findings
}

/** Looks at the clock, by what has a date: certificates end, and a clock that is wrong ends them early. */
export async function examineClock({ cert, nowMs }: { cert: string | undefined; nowMs: number }): Promise<Finding[]> {
  const find = finder('clock')
  const findings: Finding[] = []
  const timesync = await stat('/run/systemd/timesync').catch(() => undefined)
  const synchronized = await stat('/run/systemd/timesync/synchronized').catch(() => undefined)
  if (timesync !== undefined && synchronized === undefined) {
    findings.push(find.warning('systemd-timesyncd has not set it yet', 'see timedatectl timesync-status'))
  }
  if (cert !== undefined) {
    const { validFrom, validTo } = new X509Certificate(cert)
    const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)]
    if (nowMs < fromMs)
      findings.push(find.fault(`the host's certificate is valid from ${validFrom} on`, 'set the clock'))
    else if (nowMs > toMs)
      findings.push(find.fault(`the host's certificate ended on ${validTo}`, 'have a new one issued'))
    else if (toMs - nowMs < SOON_MS) {
      findings.push(find.warning(`the host's certificate ends on ${validTo}`, 'have a new one issued'))
    }
  }
  if (findings.length > 0) return findings
  if (cert === undefined) return [find.unknown('there is no certificate to compare it with', 'see saeProfile')]
  return [find.ok('it fits the certificate of the host')]
}
