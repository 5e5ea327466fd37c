import { finished, pipeline } from 'node:stream/promises'
import {
  createTunnelEntry,
  createTunnelExit,
  openTunnel,
  TLS12_SUITE_NAMES,
  type TlsVersionOptions,
  type Tunnel,
} from '../../integrations/tls/index.ts'
import { createReceiptTelemetry, type Kms, type Logger, requireInteger, type SecurityLevel } from '../../lib/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { type HostPort, parseHostPort } from '../host-port.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

const LEVELS: readonly SecurityLevel[] = ['quantum', 'hybrid', 'expanded', 'post-quantum']
const BINDINGS = ['role', 'raw'] as const
const VERSIONS = ['TLSv1.3', 'TLSv1.2'] as const

/** `qkd tls tunnel`: plain TCP on the outside, TLS under a fresh key for each connection between two hosts. */
export const tunnelCommand = defineCommand({
  command: 'tunnel',
  repeatable: ['peer', 'tls12Suites', 'tls12-suites'],
  describe: 'Carry TCP connections to another host in TLS, each under a key of its own, until SIGTERM or Ctrl-C',
  builder: yargs =>
    withKmeOptions(yargs)
      .option('listen', { type: 'string', requiresArg: true, describe: 'Entry: take plain connections at host:port' })
      .option('stdio', {
        type: 'boolean',
        default: false,
        describe: 'Entry: carry one connection, standard input and output',
      })
      .option('accept', { type: 'string', requiresArg: true, describe: 'Exit: take TLS sessions at host:port' })
      .option('connect', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Where connections go, host:port: from an entry to the exit, from an exit to the program',
      })
      .option('peer', {
        type: 'string',
        array: true,
        demandOption: true,
        requiresArg: true,
        describe: 'SAE ID of the other host; an exit takes several, each with its own --peer',
      })
      .option('level', { choices: LEVELS, describe: "Entry: security level of the keys [default: the policy's]" })
      .option('binding', {
        choices: BINDINGS,
        default: 'role' as const,
        describe: 'raw: the other end is no qkd but any TLS-PSK program with such keys',
      })
      .option('min-version', {
        choices: VERSIONS,
        describe: 'TLSv1.2: for another end that knows no better [default: TLSv1.3]',
      })
      .option('tls12-suites', {
        choices: TLS12_SUITE_NAMES,
        array: true,
        requiresArg: true,
        describe: 'Suites of TLS 1.2; PSK-... are without forward secrecy [default: ECDHE-PSK-...]',
      })
      .option('require-group', {
        type: 'string',
        requiresArg: true,
        describe: 'Accept this key exchange group alone, such as X25519MLKEM768 (Node 24)',
      })
      .option('proxy-protocol', {
        type: 'boolean',
        default: false,
        describe: 'Exit: tell the program who connected (PROXY protocol, version 2)',
      })
      .option('max-connections', { type: 'number', default: 1024, describe: 'Connections at a time; others are reset' })
      .option('drain-ms', {
        type: 'number',
        default: 10_000,
        describe: 'How long open connections may go on after SIGTERM, in milliseconds',
      })
      .example(
        '$0 tls tunnel --accept 0.0.0.0:7443 --connect 127.0.0.1:1883 --peer alice --config bob.json',
        'at the server, in front of a plain MQTT broker',
      )
      .example(
        '$0 tls tunnel --listen 127.0.0.1:1883 --connect bob.example:7443 --peer bob --config alice.json',
        'at the client, whose programs connect to 127.0.0.1:1883',
      )
      .example(
        "ssh -o ProxyCommand='$0 tls tunnel --stdio --connect %h:7443 --peer bob --config alice.json' bob.example",
        'ssh through an exit that goes to port 22',
      ),
  handler: args =>
    withKms(args, kms => {
      const { listen, accept, stdio } = args
      if ([listen !== undefined, accept !== undefined, stdio].filter(Boolean).length !== 1) {
        throw usageError('Give one of --listen host:port, --accept host:port and --stdio')
      }
      const connect = parseTarget(args.connect)
      if (accept !== undefined) return serveExit(kms, { ...args, accept: parseHostPort('accept', accept), connect })
      if (args.proxyProtocol) throw usageError('--proxy-protocol belongs to --accept')
      const [peerSaeId, ...more] = args.peer
      if (more.length > 0 || peerSaeId === undefined) throw usageError('An entry has one --peer')
      const peer = { ...args, connect, peerSaeId }
      return listen === undefined ? carryStdio(kms, peer) : serveEntry(kms, peer, parseHostPort('listen', listen))
    }),
})

interface TunnelArguments extends TlsVersionOptions {
  readonly requireGroup?: string
  readonly connect: HostPort
  readonly binding: (typeof BINDINGS)[number]
  readonly level?: SecurityLevel
  readonly maxConnections: number
  readonly drainMs: number
  readonly timeoutMs: number
  readonly json: boolean
}

interface EntryArguments extends TunnelArguments {
  readonly peerSaeId: string
}

interface ExitArguments extends TunnelArguments {
  readonly accept: HostPort
  readonly peer: readonly string[]
  readonly proxyProtocol: boolean
}

function serveEntry(kms: Kms, args: EntryArguments, listen: HostPort): Promise<void> {
  const entry = createTunnelEntry(kms, { ...tunnelOptions(args), ...peerOf(args), listen })
  return serve(entry, args, `${kms.saeId}, a way in to ${args.peerSaeId}`)
}

function serveExit(kms: Kms, args: ExitArguments): Promise<void> {
  const { accept, peer, binding, proxyProtocol, timeoutMs, level } = args
  if (level !== undefined) throw usageError('--level belongs to --listen and --stdio')
  const peers = peer.map(saeId => ({ saeId, binding }))
  const options = { ...tunnelOptions(args), ...versionsOf(args), listen: accept, peers, proxyProtocol }
  return serve(
    createTunnelExit(kms, { ...options, deadlineMs: timeoutMs, telemetry: createReceiptTelemetry({ kms }) }),
    args,
    `${kms.saeId}, a way out for ${peer.join(', ')}`,
  )
}

/** Runs one end until a signal, and then lets what is open end. */
async function serve(tunnel: Tunnel, { json, connect }: TunnelArguments, name: string): Promise<void> {
  // Asked for before anything is open, so that a signal during the start is not lost.
  const stopped = stopSignal()
  const listening = await tunnel.listen()
  const { host, port } = listening
  const ready = `${name}, listens at ${host} port ${port} and goes to ${connect.host} port ${connect.port}`
  await (json ? printJson({ ready: true, listening, connect, pid: process.pid }) : printLines(ready))
  await stopped
  await tunnel.close()
  const counters = tunnel.counters()
  const { completed, reset, failed, bytesIn, bytesOut } = counters
  const summary = `${completed} connections carried, ${reset} cut, ${failed} failed; ${bytesIn} bytes in, ${bytesOut} out`
  await (json ? printJson({ counters }) : printLines(summary))
}

/** One connection between standard input and output: nothing else may be written there. */
async function carryStdio(kms: Kms, args: EntryArguments): Promise<void> {
  const stop = new AbortController()
  const over = new AbortController()
  stopSignal(over).then(
    () => stop.abort(),
    () => {},
  )
  const { signal } = stop
  try {
    const stream = await openTunnel(kms, { ...peerOf(args), signal })
    process.stdin.on('error', error => stream.destroy(error)).pipe(stream)
    await pipeline(stream, process.stdout, { signal })
    // Standard output can't be closed by itself, so the program before us learns only from our exit that all has come: what
    // it would still send has no reader.
    process.stdin.unpipe(stream).destroy()
    await finished(stream.end(), { signal })
  } finally {
    over.abort()
  }
}

function peerOf(args: EntryArguments) {
  const { peerSaeId, connect, binding, level, timeoutMs } = args
  return { peerSaeId, connect, binding, level, timeoutMs, ...versionsOf(args) }
}

function versionsOf({ minVersion, tls12Suites, requireGroup }: TunnelArguments) {
  return { minVersion, tls12Suites, requireGroup }
}

function tunnelOptions({ connect, maxConnections, drainMs, json }: TunnelArguments) {
  requireInteger('--max-connections', maxConnections, { min: 1, max: 65_535 })
  requireInteger('--drain-ms', drainMs, { min: 0, max: 600_000 })
  return { connect, maxConnections, drainMs, logger: stderrLogger({ json }) }
}

function parseTarget(text: string): HostPort {
  const target = parseHostPort('connect', text)
  if (target.port === 0) throw usageError('--connect needs a port')
  return target
}

/** Tells of connections that failed, and leaves the rest to NODE_DEBUG. */
function stderrLogger({ json }: { json: boolean }): Logger {
  const tell = (fields: object, message: string) => {
    const { reason } = fields as { reason?: string }
    const text = reason === undefined ? message : `${message}: ${reason}`
    process.stderr.write(json ? `${JSON.stringify({ warning: message, ...fields })}\n` : `${text}\n`)
  }
  return { debug: () => {}, info: tell, warn: tell, error: tell }
}
