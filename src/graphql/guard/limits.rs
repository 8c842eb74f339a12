//! The numbers the guard holds a request to.

/// Upper bounds of one request. A value equal to its bound passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Fields nested in each other, seen through fragments; a root field has depth 1. Lists and objects in
    /// values, and list types, may nest as deep. Open braces (fields and inline fragments together) may nest
    /// twice as deep.
    pub depth: usize,
    /// Selection sets nested in each other, seen through fragments: what the engine recurses on.
    pub nesting: usize,
    /// Fields, inline fragments and fragment spreads of all operations of the document together, each counted
    /// as often as it is reached through fragments; fragments that nothing spreads count like operations.
    pub selections: u64,
    /// Different response keys under which one parent selects one field. The plain name is a key as any alias
    /// is; the same key again counts once, because fragments of ordinary clients repeat keys, and what
    /// repetition costs is the cost model's to say. Parents that the answer merges are one parent here too.
    pub aliases: usize,
    /// Root fields of the chosen operation, each counted as often as it is reached: the engine resolves
    /// repeated ones again.
    pub root_fields: usize,
    /// Root fields of the chosen mutation that are attempts to sign in, as `root_fields` counts them.
    pub sign_in_fields: usize,
    /// Fragment definitions in the document.
    pub fragments: usize,
    /// Directives at one place: on one field, spread, fragment, operation or variable definition.
    pub directives: usize,
    /// Arguments of one field or directive.
    pub arguments: usize,
    /// Differences between fields selected under one response key of one parent. As soon as they differ in
    /// name or arguments, each counts one, and one for every argument of the largest; the engine reports each
    /// of these, several times over, and four kilobytes bring it to millions of errors. Well above zero,
    /// because fields of different types may differ so.
    pub conflicts: u64,
    /// Bytes of one name. The engine repeats names in its errors.
    pub name_bytes: usize,
    /// Variables that one operation declares; the engine looks for each use among all of them.
    pub variables: usize,
    /// Uses of variables in all operations of the document together, each counted as often as it is reached through
    /// fragments; the engine looks at each of them again for every operation, and reports it if it is wrong.
    pub variable_uses: u64,
    /// Bytes of all variables times the uses of variables; the engine copies the value for each use.
    pub variable_copies: u64,
    /// Items of one list literal, and fields of one object literal.
    pub list_items: usize,
    /// Bytes of the document.
    pub bytes: usize,
    /// Lists and objects of the variables nested in each other; the variables object itself is the first.
    pub variables_depth: usize,
    /// Items of one list, or fields of one object, in the variables. Wider than `list_items`, because a
    /// variable may be of a JSON scalar, and types are not known here; lists of input objects are held to
    /// their own lengths by the resolvers.
    pub variables_items: usize,
    /// Values in all variables together; containers count too.
    pub variables_values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 16,
            nesting: 64,
            selections: 2_000,
            aliases: 15,
            root_fields: 10,
            sign_in_fields: 1,
            fragments: 50,
            directives: 10,
            arguments: 30,
            conflicts: 200,
            name_bytes: 255,
            variables: 100,
            variable_uses: 500,
            variable_copies: 32 << 20,
            list_items: 100,
            bytes: 65_536,
            variables_depth: 64,
            variables_items: 1_000,
            variables_values: 10_000,
        }
    }
}
