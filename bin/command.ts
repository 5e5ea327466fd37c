import type { ArgumentsCamelCase, CommandModule } from 'yargs'

/** What every command is given. */
export interface GlobalArguments {
  /** Results and errors as JSON. */
  readonly json: boolean
}

/** A command as yargs has it, and which of its arguments may stand more than once. */
export interface CommandDefinition<U> extends CommandModule<GlobalArguments, U> {
  readonly repeatable?: readonly string[]
}

/** A command whose own arguments only it knows. */
export type Command = CommandModule<GlobalArguments, GlobalArguments>

/** A command of `qkd`: the types of its arguments follow from the options that its builder adds. */
export function defineCommand<U>(definition: CommandDefinition<U>): Command {
  const { repeatable = [], ...command } = definition
  const checked: CommandModule<GlobalArguments, U> = {
    ...command,
    handler: args => {
      refuseTwice(args, repeatable)
      refuseNoNumber(args)
      return command.handler(args)
    },
  }
  return checked as unknown as Command
}

/** A command that only has commands below it; `name` with the groups it stands in, as `kerberos trust`. */
export function defineGroup(name: string, describe: string, commands: readonly Command[]) {
  return defineCommand({
    command: name.split(' ').at(-1)!,
    describe,
    builder: yargs => {
      for (const command of commands) yargs.command(command)
      return yargs.demandCommand(1, `Name a command; qkd ${name} --help lists them`)
    },
    handler: () => {},
  })
}

/** An error of usage that yargs itself does not find. */
export function usageError(message: string): Error {
  return Object.assign(new Error(message), { name: 'YError' })
}

/** Two values for one option would reach a command as a list; which of them was meant, nobody can tell. */
function refuseTwice(args: ArgumentsCamelCase<unknown>, repeatable: readonly string[]): void {
  for (const [name, value] of Object.entries(args)) {
    if (!Array.isArray(value) || name === '_' || repeatable.includes(name)) continue
    throw usageError(`Option --${name} is given ${value.length} times; give it once`)
  }
}

/** For an option of type number yargs makes NaN of any other word, which no comparison finds. */
function refuseNoNumber(args: ArgumentsCamelCase<unknown>): void {
  for (const [name, value] of Object.entries(args))
    if (Number.isNaN(value)) throw usageError(`Option --${name} needs a number`)
}
