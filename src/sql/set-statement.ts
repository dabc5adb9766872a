// SET, RESET and the transaction modes: what changes, and the SQL that changes it again on another connection.
// The rule: the SQL to replay is rebuilt from the parse tree with everything quoted, so nothing of the client's text leaks in.
import type { DefElem, Node, VariableSetStmt } from 'libpg-query';
import type { StatementAction } from './action.ts';

/** SET, SET LOCAL, RESET and its relatives. `text` is the statement's own text. */
export function setAction(statement: VariableSetStmt, text: string): StatementAction {
  const name = (statement.name ?? '').toLowerCase();
  const local = statement.is_local === true;
  switch (statement.kind) {
    case 'VAR_RESET_ALL':
      return { kind: 'resetAll' };
    case 'VAR_SET_MULTI':
      return multi(statement);
    case 'VAR_SET_VALUE': {
      const values = (statement.args ?? []).map(constantText);
      if (values.every((value) => value !== undefined)) {
        const sql = `SET ${quoteName(name)} TO ${values.map(quoteLiteral).join(', ')}`;
        return { kind: 'set', name, local, value: shown(name, values), sql };
      }
      // Only SET TIME ZONE INTERVAL … is not a list of constants.
      return {
        kind: 'set',
        name,
        local,
        value: text.trim(),
        sql: text.replace(/^\s*set\s+(?:local|session)\s/i, 'SET '),
      };
    }
    default:
      // SET … TO DEFAULT, RESET and SET … FROM CURRENT (which exists only inside CREATE FUNCTION).
      return { kind: 'set', name, local, value: null, sql: `RESET ${quoteName(name)}` };
  }
}

function multi(statement: VariableSetStmt): StatementAction {
  const modes = modesOf(statement.args);
  if (statement.name === 'SESSION CHARACTERISTICS') {
    return { kind: 'setSessionCharacteristics', modes, sql: `SET SESSION CHARACTERISTICS AS TRANSACTION ${modes}` };
  }
  if (statement.name === 'TRANSACTION SNAPSHOT') {
    const [snapshot] = statement.args ?? [];
    return {
      kind: 'setTransaction',
      modes: `SNAPSHOT ${quoteLiteral(snapshot === undefined ? '' : (constantText(snapshot) ?? ''))}`,
    };
  }
  return { kind: 'setTransaction', modes };
}

/** `ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE` from the options of BEGIN or SET TRANSACTION; '' when none. */
export function modesOf(options: readonly Node[] | undefined): string {
  return (options ?? []).flatMap((node) => ('DefElem' in node ? [modeOf(node.DefElem)] : [])).join(', ');
}

function modeOf(option: DefElem): string {
  const value = option.arg === undefined ? '' : (constantText(option.arg) ?? '');
  switch (option.defname) {
    case 'transaction_isolation':
      return `ISOLATION LEVEL ${value.toUpperCase()}`;
    case 'transaction_read_only':
      return value === '1' ? 'READ ONLY' : 'READ WRITE';
    default:
      return value === '1' ? 'DEFERRABLE' : 'NOT DEFERRABLE';
  }
}

/** A constant of the grammar as text; undefined for anything else. */
export function constantText(node: Node): string | undefined {
  if (!('A_Const' in node)) return undefined;
  const { sval, ival, fval, boolval } = node.A_Const;
  if (sval !== undefined) return sval.sval ?? '';
  if (ival !== undefined) return String(ival.ival ?? 0);
  if (boolval !== undefined) return boolval.boolval === true ? 'true' : 'false';
  return fval?.fval;
}

/** Settings whose value is a list of names, which PostgreSQL shows quoted where needed. */
const NAME_LISTS = new Set(['search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries']);

function shown(name: string, values: readonly (string | undefined)[]): string {
  const parts = values.map((value) => value ?? '');
  if (!NAME_LISTS.has(name)) return parts.join(', ');
  return parts.map((part) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`)).join(', ');
}

function quoteName(name: string): string {
  return name
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.');
}

/** A string literal that reads the same whatever standard_conforming_strings says. */
export function quoteLiteral(text: string | undefined): string {
  const quoted = `'${(text ?? '').replaceAll("'", "''")}'`;
  return quoted.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
