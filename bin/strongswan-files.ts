import type { Argv } from 'yargs'

const GROUP = "strongSwan's files:"

/** Adds the options that say where strongSwan's own files lie. */
export function withStrongswanFiles<T>(yargs: Argv<T>) {
  return yargs
    .option('strongswan-conf', {
      type: 'string',
      group: GROUP,
      requiresArg: true,
      default: '/etc/strongswan.conf',
      describe: "charon's settings",
    })
    .option('ipsec-conf', {
      type: 'string',
      group: GROUP,
      requiresArg: true,
      default: '/etc/ipsec.conf',
      describe: 'Settings of strongswan-starter',
    })
}
