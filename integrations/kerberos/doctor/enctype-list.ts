import { ENCTYPES, type Enctype } from '../enctype.ts'

/** Words of krb5.conf that stand for several types, in the order of MIT's krb5.conf(5). */
const FAMILIES: Readonly<Record<string, readonly Enctype[]>> = {
  DEFAULT: [20, 18, 19, 17],
  aes: [20, 18, 19, 17],
}

/** Other spellings of one type. */
const ALIASES: Readonly<Record<string, Enctype>> = {
  'aes256-sha2': 20,
  'aes256-cts': 18,
  'aes256-sha1': 18,
  'aes128-sha2': 19,
  'aes128-cts': 17,
  'aes128-sha1': 17,
}

/** The served types that a list of encryption types in krb5.conf allows; a leading `-` takes one away. */
export function listedEnctypes(list: string): Set<Enctype> {
  const allowed = new Set<Enctype>()
  for (const word of list.split(/[\s,]+/).filter(Boolean)) {
    const remove = word.startsWith('-')
    const name = word.replace(/^[+-]/, '')
    for (const enctype of named(name)) {
      if (remove) allowed.delete(enctype)
      else allowed.add(enctype)
    }
  }
  return allowed
}

function named(name: string): readonly Enctype[] {
  const family = FAMILIES[name] ?? FAMILIES[name.toLowerCase()]
  if (family !== undefined) return family
  const one = ENCTYPES.find(profile => profile.name === name.toLowerCase())?.enctype ?? ALIASES[name.toLowerCase()]
  return one === undefined ? [] : [one]
}

/** The value of a relation in a section of a krb5.conf; undefined where it is not set. Include lines are not followed. */
export function krb5ConfValue(text: string, section: string, relation: string): string | undefined {
  let inSection = false
  for (const line of text.split('\n')) {
    const header = /^\s*\[([^\]]+)\]/.exec(line)
    if (header !== null) inSection = header[1] === section
    else if (inSection) {
      const match = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line)
      if (match?.[1] === relation) return match[2]
    }
  }
  return undefined
}
