import {
  askAgent,
  configuredDatabase,
  deletePrincipal,
  type Enctype,
  enctypeProfile,
  type KerberosConfig,
  loadKerberosConfig,
  MAX_KVNO,
  parsePrincipal,
  setString,
  stringToKey,
  trustPrincipal,
} from '../../integrations/kerberos/index.ts'
import { InvalidArgumentError } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import {
  agentRuns,
  kadminLocation,
  readRawFile,
  requireKdc,
  withKerberosFile,
  writeKerberosFile,
} from '../kerberos-file.ts'
import { readPassword } from '../password.ts'
import { printJson, printLines } from '../terminal.ts'

/** `qkd kerberos trust remove`: back to a password, or to none. */
export const removeCommand = defineCommand({
  command: 'remove <remote>',
  describe: 'Take the trust out of the pool again: back to a password, read from standard input, or to none',
  builder: yargs =>
    withKerberosFile(yargs)
      .positional('remote', { type: 'string', demandOption: true, describe: 'The other realm' })
      .option('delete', { type: 'boolean', default: false, describe: 'Delete the principals instead' })
      .option('kvno', {
        type: 'number',
        describe: 'kvno of the password, the same at both sites [default: one above the highest here]',
      })
      .example('$0 kerberos trust remove B.EXAMPLE < password.txt', 'at both sites, with the same password and kvno'),
  handler: async args => {
    const path = args.kerberos
    const config = await loadKerberosConfig(path)
    const kdc = requireKdc(config, path)
    const { remote } = args
    const names = [
      trustPrincipal({ from: kdc.realm, to: remote }),
      trustPrincipal({ from: remote, to: kdc.realm }),
    ].filter(name => config.principals.some(({ principal }) => principal === name))
    if (names.length === 0) throw new InvalidArgumentError(`${path} has no trust with ${remote}`)
    const password = args.delete ? undefined : await readPassword(`Password of the trust with ${remote}`)
    const raw = (await readRawFile(path))!
    const runs = await agentRuns(config)
    const results: { principal: string; kvno: number | null }[] = []
    for (const principal of names) {
      if (runs) await askAgent(config.controlSocket, { command: 'forget', principal })
      const location = kadminLocation(kdc)
      if (password === undefined) await deletePrincipal(location, principal)
      else if (config.mode === 'plugin') await setString(location, principal, { name: 'qkd', value: '' })
      const kvno = password === undefined ? null : await setPassword(config, principal, { password, kvno: args.kvno })
      results.push({ principal, kvno })
    }
    const rest = (raw.principals as { principal: string }[]).filter(({ principal }) => !names.includes(principal))
    await writeKerberosFile(path, { ...raw, principals: rest })
    await (args.json
      ? printJson({ removed: results })
      : printLines(
          ...results.map(({ principal, kvno }) =>
            kvno === null
              ? `${principal}: deleted`
              : `${principal}: keyed from the password, kvno ${kvno}; the other site must say the same`,
          ),
        ))
  },
})

/** Sets the key that the password makes with the default salt, at a kvno that both sites can have; older keys stay. */
async function setPassword(
  config: KerberosConfig,
  principal: string,
  { password, kvno }: { password: string; kvno: number | undefined },
): Promise<number> {
  const { components, realm } = parsePrincipal(principal)
  const salt = `${realm}${components.join('')}`
  const { enctypes } = config.principals.find(each => each.principal === principal)!
  const keys = enctypes.map(name => stringToKey(enctypeProfile(name).enctype as Enctype, password, { salt }))
  try {
    let used = 0
    await configuredDatabase(config.kdc!).setVersions(principal, present => {
      used = kvno ?? Math.max(0, ...present) + 1
      if (!(Number.isInteger(used) && used >= 1 && used <= MAX_KVNO)) {
        throw new InvalidArgumentError(`--kvno must be an integer from 1 to ${MAX_KVNO}; above it there is none`)
      }
      const keep = present.filter(each => each < used)
      return { put: [{ kvno: used, keys }], keep }
    })
    return used
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}
