import { connectChannel, createChannelListener, type PskChannel } from '../../integrations/tls/index.ts'
import {
  type AgreedKey,
  abortable,
  acceptAgreement,
  initiateAgreement,
  type Key,
  type Kms,
  keyFingerprint,
  requireInteger,
  type SecurityLevel,
} from '../../lib/index.ts'
import { requireAgreed } from '../agreement-failure.ts'
import { type Command, defineCommand, usageError } from '../command.ts'
import { type HostPort, parseHostPort } from '../host-port.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

const FORMATS = ['text', 'json', 'hex', 'base64'] as const
const LEVELS: readonly SecurityLevel[] = ['quantum', 'hybrid', 'expanded', 'post-quantum']

/** Prints keys themselves, which one function of the program alone may do. */
export type PrintKeys = (
  keys: readonly Key[],
  printing: { masterSaeId: string; slaveSaeId: string; format: (typeof FORMATS)[number] },
) => Promise<void>

/** `qkd key agree`: two hosts agree on a key over TLS, each with its own KME. */
export function agreeCommand(printKeys: PrintKeys): Command {
  return defineCommand({
    command: 'agree',
    describe: 'Agree on a key with another host that runs the same command; shows what it is and not the key',
    builder: yargs =>
      withKmeOptions(yargs)
        .option('listen', { type: 'string', requiresArg: true, describe: 'Wait for the other host at host:port' })
        .option('connect', { type: 'string', requiresArg: true, describe: 'Begin with the other host at host:port' })
        .option('peer', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE ID of the other host' })
        .option('purpose', {
          type: 'string',
          default: 'qkd key agree',
          requiresArg: true,
          describe: 'What the key is for; both hosts must say the same',
        })
        .option('size', {
          type: 'number',
          describe: 'With --connect: size of the key in bits, 256 to 512 [default: 256]',
        })
        .option('level', { choices: LEVELS, describe: "With --connect: security level [default: the policy's]" })
        .option('format', { choices: FORMATS, describe: 'Print the key itself, as qkd key get does' })
        .example('$0 key agree --listen 127.0.0.1:7100 --peer alice --config bob.json', 'in one terminal')
        .example(
          '$0 key agree --connect 127.0.0.1:7100 --peer bob --config alice.json',
          'in another: the same fingerprint',
        ),
    handler: args =>
      withKms(args, async kms => {
        const key = await untilStopped(signal => agree(kms, { ...args, signal }))
        using _ = key.secret
        const { masterSaeId, slaveSaeId } = key
        if (args.format !== undefined) await printKeys([key], { masterSaeId, slaveSaeId, format: args.format })
        else await (args.json ? printJson(shown(key)) : printLines(...describe(key)))
      }),
  })
}

/** How two hosts agree on a key. */
export interface AgreeArguments {
  readonly listen?: string
  readonly connect?: string
  readonly peer: string
  readonly purpose: string
  readonly size?: number
  readonly level?: SecurityLevel
  readonly timeoutMs: number
  readonly json: boolean
  readonly signal: AbortSignal
}

/** Agrees on a key with the host at the other end, which runs the same. */
export function agree(kms: Kms, args: AgreeArguments): Promise<AgreedKey> {
  const { listen, connect, size, level } = args
  // Before the connection takes a key of its own.
  if (size !== undefined) requireInteger('--size', size, { min: 256, max: 512 })
  if (listen !== undefined && connect === undefined) {
    if (size !== undefined || level !== undefined) throw usageError('--size and --level belong to --connect')
    return waitForPeer(kms, args, parseHostPort('listen', listen))
  }
  if (connect !== undefined && listen === undefined) return begin(kms, args, parseHostPort('connect', connect))
  throw usageError('Give either --listen host:port or --connect host:port')
}

async function begin(kms: Kms, args: AgreeArguments, address: HostPort): Promise<AgreedKey> {
  const { peer, purpose, size: sizeBits, level, timeoutMs, signal } = args
  await using channel = await connectChannel(kms, { ...address, peerSaeId: peer, timeoutMs, signal })
  const options = { peerSaeId: peer, purpose, sizeBits, level, timeoutMs, signal }
  return requireAgreed(await initiateAgreement(kms, channel, options), args)
}

async function waitForPeer(kms: Kms, args: AgreeArguments, address: HostPort): Promise<AgreedKey> {
  const { peer, purpose, timeoutMs, signal, json } = args
  let onChannel: (channel: PskChannel) => void = () => {}
  const arrived = new Promise<PskChannel>(resolve => {
    onChannel = resolve
  })
  // It closes its channels with it.
  await using listener = createChannelListener(kms, { ...address, peers: [{ saeId: peer }], onChannel })
  const { host, port } = await listener.listen({ signal })
  process.stderr.write(
    json
      ? `${JSON.stringify({ listening: { host, port } })}\n`
      : `${kms.saeId} waits for ${peer} at ${host} port ${port}\n`,
  )
  const channel = await abortable(arrived, { signal })
  return requireAgreed(await acceptAgreement(kms, channel, { purpose, timeoutMs, signal }), args)
}

/** Runs `run` with a signal that Ctrl-C and SIGTERM abort. */
export async function untilStopped<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const [stop, over] = [new AbortController(), new AbortController()]
  stopSignal(over).then(
    () => stop.abort(),
    () => {},
  )
  try {
    return await run(stop.signal)
  } finally {
    over.abort()
  }
}

/** Everything about the key that may be seen. */
function shown(key: AgreedKey) {
  const { masterSaeId, slaveSaeId, purpose, keyId, sizeBits, level, trustClass } = key
  return { masterSaeId, slaveSaeId, purpose, keyId, sizeBits, level, trustClass, fingerprint: keyFingerprint(key) }
}

function describe(key: AgreedKey): string[] {
  const { masterSaeId, slaveSaeId, purpose, keyId, sizeBits, level, trustClass, fingerprint } = shown(key)
  const quality = [`${sizeBits} bits`, level, trustClass].filter(word => word !== undefined).join(', ')
  return [
    `hosts        ${masterSaeId} -> ${slaveSaeId}, for ${JSON.stringify(purpose)}`,
    `key_ID       ${keyId}`,
    `key          ${quality}`,
    `fingerprint  ${fingerprint}, the same at both hosts`,
  ]
}
