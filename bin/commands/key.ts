import type { Argv } from 'yargs'
import { formatIdentity } from '../../integrations/tls/index.ts'
import type { Key, SecurityLevel } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { spellKey } from '../key-format.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { print } from '../terminal.ts'
import { agreeCommand } from './key-agree.ts'

const FORMATS = ['text', 'json', 'openssl', 'hex', 'base64'] as const
const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']

type Format = (typeof FORMATS)[number]

interface FormatArguments {
  readonly format: Format | undefined
  readonly json: boolean
}

const getCommand = defineCommand({
  command: 'get <slaveSae>',
  repeatable: ['also'],
  describe: 'Take fresh keys shared with <slaveSae> (ETSI 014 Get key); each call takes others',
  builder: yargs =>
    withFormat(withKmeOptions(yargs))
      .positional('slaveSae', { type: 'string', demandOption: true, describe: 'SAE ID of the other host' })
      .option('number', { type: 'number', describe: 'How many keys [default: 1]' })
      .option('size', { type: 'number', describe: "Size of each key in bits [default: the KME's]" })
      .option('level', { choices: LEVELS, describe: "Security level [default: the policy's]" })
      .option('min-level', {
        choices: LEVELS,
        describe: 'Lowest level that will do if the pool is dry and the policy lowers it [default: the level itself]',
      })
      .option('also', {
        type: 'string',
        array: true,
        requiresArg: true,
        describe: 'SAE ID of a further host that gets the same keys; again for each one [default: none]',
      })
      .example('$0 key get bob --config alice.json', 'one key for a person to read')
      .example('$0 key get bob --also carol --also dave --config alice.json', 'one key for three hosts')
      .example('$0 key get bob --config alice.json --number 3 --size 512 --format json', 'three of 512 bits')
      .example(
        'openssl s_client $($0 key get bob --config alice.json --format openssl) ...',
        'for a peer that is `raw`',
      ),
  handler: args =>
    withKms(args, async kms => {
      const { slaveSae, number, size: sizeBits, level, minLevel, also, timeoutMs } = args
      const options = { number, sizeBits, level, minLevel, additionalSlaveSaeIds: also, timeoutMs }
      const keys = await kms.getKey(slaveSae, options)
      await printKeys(keys, { masterSaeId: kms.saeId, slaveSaeId: slaveSae, format: formatOf(args) })
    }),
})

const getByIdCommand = defineCommand({
  command: 'get-by-id <masterSae> <keyId..>',
  repeatable: ['keyId', 'key-id'],
  describe: 'Take the keys that <masterSae> was given under these key_IDs (ETSI 014 Get key with key IDs); once',
  builder: yargs =>
    withFormat(withKmeOptions(yargs))
      .positional('masterSae', {
        type: 'string',
        demandOption: true,
        describe: 'SAE ID of the host that took them first',
      })
      .positional('keyId', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'key_ID, as that host told it',
      })
      .option('min-level', { choices: LEVELS, describe: 'Refuse keys below this level [default: any]' })
      .example('$0 key get-by-id alice 6f1c...e2 --config bob.json', 'the same key at the other site')
      .example('$0 key get-by-id alice 6f1c...e2 --config bob.json --format hex', 'key_ID and key in hex'),
  handler: args =>
    withKms(args, async kms => {
      const { masterSae, keyId, minLevel, timeoutMs } = args
      const keys = await kms.getKeyWithIds(masterSae, keyId, { minLevel, timeoutMs })
      await printKeys(keys, { masterSaeId: masterSae, slaveSaeId: kms.saeId, format: formatOf(args) })
    }),
})

/** `qkd key`: takes keys from the KME of this host and prints them. No other command prints a key. */
export const keyCommands = defineGroup('key', 'Take keys from the KME', [
  getCommand,
  getByIdCommand,
  agreeCommand(printKeys),
])

function withFormat<T>(yargs: Argv<T>) {
  return yargs.option('format', {
    choices: FORMATS,
    describe: 'text; json; "key_ID key" in hex or base64; or the PSK options of openssl [default: text]',
  })
}

function formatOf({ format, json }: FormatArguments): Format {
  return format ?? (json ? 'json' : 'text')
}

interface Printing {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly format: Format
}

/** The door: here key bytes leave for standard output, all at once, and every buffer is wiped when it has taken them. */
async function printKeys(keys: readonly Key[], printing: Printing): Promise<void> {
  const spelling = printing.format === 'hex' || printing.format === 'openssl' ? 'hex' : 'base64'
  const spelt = keys.map(({ secret }) => secret.expose('terminal', bytes => spellKey(bytes, spelling)))
  for (const { secret } of keys) secret.wipe()
  const document = Buffer.concat(
    keys.flatMap((key, at) => layOut(key, spelt[at]!, { ...printing, at, of: keys.length })),
  )
  try {
    await print(document)
  } finally {
    for (const buffer of [...spelt, document]) buffer.fill(0)
  }
}

/** What stands around one key. */
function layOut(
  key: Key,
  spelt: Buffer,
  { format, at, of, ...names }: Printing & { at: number; of: number },
): Buffer[] {
  const { keyId, sizeBits, level, trustClass } = key
  const around = (before: string, after: string) => [Buffer.from(before), spelt, Buffer.from(after)]
  switch (format) {
    case 'hex':
    case 'base64':
      return around(`${keyId} `, '\n')
    case 'openssl':
      return around(`-psk_identity ${formatIdentity({ masterSaeId: names.masterSaeId, keyId })} -psk `, '\n')
    case 'json': {
      const head = at === 0 ? `${JSON.stringify(names).slice(0, -1)},"keys":[` : ','
      const fields = JSON.stringify({ keyId, sizeBits, level, trustClass }).slice(0, -1)
      return around(`${head}${fields},"key":"`, at === of - 1 ? '"}]}\n' : '"}')
    }
    case 'text': {
      const quality = [`${sizeBits} bits`, level, trustClass].filter(word => word !== undefined).join(', ')
      return around(`key_ID  ${keyId}\nkey     `, `\n        (base64; ${quality})\n`)
    }
  }
}
