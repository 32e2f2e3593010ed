"""Small Python functions mirrored into Java and C#, statement by statement.

The pretraining material (``bench.train.material``) is written once, in a subset of Python
with annotated types, and every language gets the same function in its own idiom. What is
outside of the subset raises ``NotImplementedError``: the material is the kit's own data, so
that is a fault of the kit and not of its user.
"""

from __future__ import annotations

import ast
import json
import re
from typing import NamedTuple

#: Python's operators with the precedence that Java and C# share (a higher one binds tighter).
_BINARY = {
    ast.Add: ("+", 6), ast.Sub: ("-", 6), ast.Mult: ("*", 7),
    ast.Div: ("/", 7), ast.FloorDiv: ("/", 7), ast.Mod: ("%", 7),
}  # fmt: skip
_COMPARE = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TERNARY, _OR, _AND, _EQUAL, _ORDER, _UNARY, _ATOM = 1, 2, 3, 4, 5, 8, 9

_JAVA = {"int": "int", "float": "double", "str": "String", "char": "char", "bool": "boolean"}
_BOXED = {"int": "Integer", "float": "Double", "char": "Character", "bool": "Boolean"}
_CSHARP = {"int": "int", "float": "double", "str": "string", "char": "char", "bool": "bool"}
#: method of a text → Java, C#
_TEXT_METHODS = {
    "upper": ("toUpperCase", "ToUpper"), "lower": ("toLowerCase", "ToLower"),
    "strip": ("trim", "Trim"), "startswith": ("startsWith", "StartsWith"),
    "endswith": ("endsWith", "EndsWith"), "replace": ("replace", "Replace"),
    "find": ("indexOf", "IndexOf"),
}  # fmt: skip
_CHAR_METHODS = {
    "upper": ("toUpperCase", "ToUpper"), "lower": ("toLowerCase", "ToLower"),
    "isdigit": ("isDigit", "IsDigit"), "isalpha": ("isLetter", "IsLetter"),
    "isupper": ("isUpperCase", "IsUpper"), "islower": ("isLowerCase", "IsLower"),
    "isalnum": ("isLetterOrDigit", "IsLetterOrDigit"),
    "isspace": ("isWhitespace", "IsWhiteSpace"),
}  # fmt: skip
_COLLECTION_METHODS = {"append": ("add", "Add"), "add": ("add", "Add")}


_LOCAL = re.compile(r"(?m)^( +\w+): [\w\[\], ]+ =")


class _Value(NamedTuple):
    """An expression in the target language, its type and how tightly it binds."""

    code: str
    kind: str
    binds: int = _ATOM

    def within(self, level: int) -> str:
        """The code, in parentheses where ``level`` binds tighter."""
        return self.code if self.binds >= level else f"({self.code})"


def python(source: str) -> str:
    """The function as Python has it: without the annotations of local variables."""
    return _LOCAL.sub(r"\1 =", source)


def java(source: str) -> str:
    """The function as a static Java method."""
    return _Writer(is_java=True).function(source)


def csharp(source: str) -> str:
    """The function as a static C# method."""
    return _Writer(is_java=False).function(source)


def element(kind: str) -> str:
    """The type of what a loop over a value of type ``kind`` gives."""
    if kind == "str":
        return "char"
    inner = kind.partition("[")[2].removesuffix("]")
    return inner.split(",")[0].strip() if kind.startswith("dict") else inner


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _char(text: str) -> str:
    return {"'": "'\\''", "\\": "'\\\\'", "\n": "'\\n'", "\t": "'\\t'"}.get(text, f"'{text}'")


class _Writer:
    """Writes one function; remembers the types of its names."""

    def __init__(self, *, is_java: bool) -> None:
        self.is_java = is_java
        self.types: dict[str, str] = {}
        self.entry = ("", "", "")
        self.spelled: dict[str, str] = {}

    def pick(self, in_java: str, in_csharp: str) -> str:
        return in_java if self.is_java else in_csharp

    # types

    def named(self, kind: str, *, boxed: bool = False) -> str:
        """A type of the subset in the target language."""
        if kind.startswith("list["):
            return f"List<{self.named(element(kind), boxed=True)}>"
        if kind.startswith("set["):
            return f"{self.pick('Set', 'HashSet')}<{self.named(element(kind), boxed=True)}>"
        if kind.startswith("dict["):
            key, value = (part.strip() for part in kind[5:-1].split(",", 1))
            inner = f"{self.named(key, boxed=True)}, {self.named(value, boxed=True)}"
            return f"{self.pick('Map', 'Dictionary')}<{inner}>"
        if kind.startswith("array["):
            return f"{self.named(element(kind))}[]"
        if self.is_java:
            return _BOXED.get(kind, _JAVA[kind]) if boxed else _JAVA[kind]
        return _CSHARP[kind]

    def empty(self, kind: str) -> str:
        """A new empty collection."""
        if not self.is_java:
            return f"new {self.named(kind)}()"
        name = {"l": "ArrayList", "s": "HashSet", "d": "HashMap"}[kind[0]]
        return f"new {name}<>()"

    # statements

    def function(self, source: str) -> str:
        node = ast.parse(source).body[0]
        if not isinstance(node, ast.FunctionDef) or node.returns is None:
            raise NotImplementedError(ast.dump(node))
        result = ast.unparse(node.returns)
        for argument in node.args.args:
            self.types[argument.arg] = ast.unparse(argument.annotation or node.returns)
        words = node.name.split("_")
        camel = words[0] + "".join(word.capitalize() for word in words[1:])
        self.entry = (node.name, self.pick(camel, camel[:1].upper() + camel[1:]), result)
        parameters = (f"{self.named(self.types[a.arg])} {a.arg}" for a in node.args.args)
        head = f"static {self.named(result)} {self.entry[1]}({', '.join(parameters)}) {{"
        return "\n".join([head, *self.block(node.body), "}"])

    def block(self, body: list[ast.stmt]) -> list[str]:
        return ["    " + line for statement in body for line in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[str]:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                kind = ast.unparse(node.annotation)
                self.types[name] = kind
                return [f"{self.named(kind)} {name} = {self.valued(value, kind)};"]
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in self.types:
                    return [f"{name} = {self.valued(value, self.types[name])};"]
                made = self.value(value)
                self.types[name] = made.kind
                return [f"{self.named(made.kind)} {name} = {made.code};"]
            case ast.Assign(targets=[ast.Subscript(value=place, slice=index)], value=value):
                return [self.store(place, index, value)]
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                return [self.augmented(name, op, value)]
            case ast.Return(value=ast.ListComp() | ast.DictComp() as made):
                return self.comprehension(made)
            case ast.Return(value=value) if value is not None:
                return [f"return {self.valued(value, self.entry[2])};"]
            case ast.Raise(exc=ast.Call(args=[ast.Constant(value=str(message))])):
                error = self.pick("IllegalArgumentException", "ArgumentException")
                return [f"throw new {error}({_quoted(message)});"]
            case ast.Expr(value=value):
                return [f"{self.value(value).code};"]
            case ast.Break() | ast.Continue():
                return [f"{type(node).__name__.lower()};"]
            case ast.While(test=test, body=body):
                return [f"while ({self.value(test).code}) {{", *self.block(body), "}"]
            case ast.For():
                return [f"{self.loop(node)} {{", *self.block(node.body), "}"]
            case ast.If(test=test, body=body, orelse=orelse):
                lines = [f"if ({self.value(test).code}) {{", *self.block(body)]
                if len(orelse) == 1 and isinstance(orelse[0], ast.If):
                    first, *rest = self.statement(orelse[0])
                    return [*lines, f"}} else {first}", *rest]
                return [*lines, *(["} else {", *self.block(orelse)] if orelse else []), "}"]
        raise NotImplementedError(ast.unparse(node))

    def comprehension(self, node: ast.ListComp | ast.DictComp) -> list[str]:
        """A returned comprehension as a loop that fills ``result``."""
        generator = node.generators[0]
        kind = self.entry[2]
        self.types["result"] = kind
        lines = [f"{self.named(kind)} result = {self.empty(kind)};"]
        lines.append(self.loop(ast.For(generator.target, generator.iter, [], [])) + " {")
        if isinstance(node, ast.ListComp):
            add = self.pick("add", "Add")
            fill = f"result.{add}({self.valued(node.elt, element(kind))});"
        else:
            key, value = self.value(node.key).code, self.value(node.value).code
            fill = self.pick(f"result.put({key}, {value});", f"result[{key}] = {value};")
        if generator.ifs:
            test = self.value(generator.ifs[0]).code
            lines += [f"    if ({test}) {{", f"        {fill}", "    }"]
        else:
            lines.append(f"    {fill}")
        return [*lines, "}", "return result;"]

    def augmented(self, name: str, op: ast.operator, value: ast.expr) -> str:
        sign = _BINARY[type(op)][0]
        if isinstance(value, ast.Constant) and value.value == 1 and sign in "+-":
            return f"{name}{sign}{sign};"
        return f"{name} {sign}= {self.value(value).code};"

    def store(self, place: ast.expr, index: ast.expr, value: ast.expr) -> str:
        target, key, new = self.value(place), self.value(index).code, self.value(value).code
        if not self.is_java:
            return f"{target.code}[{key}] = {new};"
        return f"{target.code}.{'put' if target.kind.startswith('dict') else 'set'}({key}, {new});"

    def loop(self, node: ast.For) -> str:
        """The head of a for loop."""
        match node.target, node.iter:
            case ast.Tuple(elts=[ast.Name(id=key), ast.Name(id=value)]), ast.Call(
                func=ast.Attribute(value=owner, attr="items")
            ):
                return self.entries(key, value, self.value(owner))
            case ast.Name(id=name), _:
                pass
            case _:
                raise NotImplementedError(ast.unparse(node.target))
        if isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range":
            self.types[name] = "int"
            bounds = [self.value(bound) for bound in node.iter.args]
            start = bounds[0].code if len(bounds) > 1 else "0"
            stop = bounds[1 if len(bounds) > 1 else 0]
            if len(bounds) == 3 and bounds[2].code == "-1":
                last = stop.code.removesuffix(" - 1") if stop.code.endswith(" - 1") else None
                test = f"{name} >= {last}" if last else f"{name} > {stop.code}"
                return f"for (int {name} = {start}; {test}; {name}--)".replace("> -1", ">= 0")
            step = f"{name} += {bounds[2].code}" if len(bounds) == 3 else f"{name}++"
            test = f"{name} < {stop.within(_ORDER)}"
            if stop.code.endswith(" + 1"):
                test = f"{name} <= {stop.code.removesuffix(' + 1')}"
            return f"for (int {name} = {start}; {test}; {step})"
        return self.over(name, self.value(node.iter))

    def entries(self, key: str, value: str, over: _Value) -> str:
        """The head of a loop over a map's entries; the two names stand for their halves."""
        kinds = [part.strip() for part in over.kind[5:-1].split(",", 1)]
        self.types |= dict(zip((key, value), kinds, strict=True))
        halves = (
            self.pick("entry.getKey()", "entry.Key"),
            self.pick("entry.getValue()", "entry.Value"),
        )
        self.spelled |= dict(zip((key, value), halves, strict=True))
        inner = self.named(over.kind).partition("<")[2]
        if self.is_java:
            return f"for (Map.Entry<{inner} entry : {over.code}.entrySet())"
        return f"foreach (KeyValuePair<{inner} entry in {over.code})"

    def over(self, name: str, over: _Value) -> str:
        """The head of a loop over the elements of a value."""
        kind = self.types[name] = element(over.kind)
        code = over.code
        if over.kind == "str":
            code = self.pick(f"{over.within(_ATOM)}.toCharArray()", code)
        elif over.kind.startswith("dict"):
            code = self.pick(f"{code}.keySet()", f"{code}.Keys")
        return self.pick("for", "foreach") + (
            f" ({self.named(kind)} {name} {self.pick(':', 'in')} {code})"
        )

    # expressions

    def valued(self, node: ast.expr, kind: str) -> str:
        """An expression where a value of a known type is wanted."""
        match node:
            case ast.List(elts=[]) | ast.Dict(keys=[]):
                return self.empty(kind)
            case ast.Call(func=ast.Name(id="set"), args=[]):
                return self.empty(kind)
            case ast.List(elts=elements):
                inside = ", ".join(self.valued(one, element(kind)) for one in elements)
                return self.pick(f"List.of({inside})", f"new {self.named(kind)} {{ {inside} }}")
            case ast.Constant(value=str(text)) if kind == "char":
                return _char(text)
        made = self.value(node)
        if kind == "str" and made.kind == "char":
            return self.pick(f"String.valueOf({made.code})", f"{made.within(_ATOM)}.ToString()")
        return made.code

    def value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=bool(flag)):
                return _Value(str(flag).lower(), "bool")
            case ast.Constant(value=str(text)):
                return _Value(_quoted(text), "str")
            case ast.Constant(value=number):
                return _Value(repr(number), type(number).__name__)
            case ast.Name(id=name):
                return _Value(self.spelled.get(name, name), self.types[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                made = self.value(operand)
                return _Value(f"-{made.within(_UNARY)}", made.kind, _UNARY)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.negated(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(self.value(left), op, self.value(right))
            case ast.BoolOp(op=op, values=values):
                sign, level = ("&&", _AND) if isinstance(op, ast.And) else ("||", _OR)
                parts = (self.value(one).within(level + 1) for one in values)
                return _Value(f" {sign} ".join(parts), "bool", level)
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                first, second = self.value(body), self.value(orelse)
                code = f"{self.value(test).code} ? {first.code} : {second.code}"
                return _Value(code, first.kind, _TERNARY)
            case ast.Subscript(value=place, slice=index):
                return self.subscript(self.value(place), index)
            case ast.JoinedStr():
                return self.formatted(node)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.called(name, args)
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=args):
                return self.method(self.value(owner), method, args)
        raise NotImplementedError(ast.unparse(node))

    def binary(self, left: _Value, op: ast.operator, right: _Value) -> _Value:
        sign, level = _BINARY[type(op)]
        kinds = {left.kind, right.kind}
        kind = "str" if "str" in kinds else "float" if "float" in kinds else "int"
        if kinds == {"char"}:
            kind = "int"
        return _Value(f"{left.within(level)} {sign} {right.within(level + 1)}", kind, level)

    def negated(self, operand: ast.expr) -> _Value:
        made = self.value(operand)
        if made.kind == "bool":
            return _Value(f"!{made.within(_UNARY)}", "bool", _UNARY)
        if self.is_java:
            return _Value(f"{made.code}.isEmpty()", "bool")
        return _Value(f"{made.code}.Count == 0", "bool", _EQUAL)

    def comparison(self, node: ast.Compare) -> _Value:
        sides = [node.left, *node.comparators]
        if len(sides) == 3:
            # low <= x <= high reads x >= low && x <= high
            low, high = (_COMPARE[type(op)] for op in node.ops)
            first = self.compared(sides[1], _FLIPPED[low], sides[0])
            second = self.compared(sides[1], high, sides[2])
            return _Value(f"{first.code} && {second.code}", "bool", _AND)
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            return self.membership(*sides, wanted=isinstance(node.ops[0], ast.In))
        return self.compared(sides[0], _COMPARE[type(node.ops[0])], sides[1])

    def compared(self, left: ast.expr, sign: str, right: ast.expr) -> _Value:
        one = self.value(left)
        other = _Value(self.valued(right, one.kind), self.value(right).kind)
        level = _EQUAL if sign in ("==", "!=") else _ORDER
        if one.kind == "str" and self.is_java and level == _EQUAL:
            test = f"{one.within(_ATOM)}.equals({other.code})"
            if other.code == '""':
                test = f"{one.within(_ATOM)}.isEmpty()"
            return _Value("!" * (sign == "!=") + test, "bool", _UNARY)
        if one.kind == "str" and level == _ORDER:
            test = self.pick(
                f"{one.code}.compareTo({other.code})",
                f"string.CompareOrdinal({one.code}, {other.code})",
            )
            return _Value(f"{test} {sign} 0", "bool", level)
        bound = self.value(right).binds
        code = other.code if bound > level else f"({other.code})"
        return _Value(f"{one.within(level + 1)} {sign} {code}", "bool", level)

    def membership(self, item: ast.expr, place: ast.expr, *, wanted: bool) -> _Value:
        inner, outer = self.value(item), self.value(place)
        if self.is_java and outer.kind == "str" and inner.kind == "char":
            sign = ">= 0" if wanted else "< 0"
            return _Value(f"{outer.code}.indexOf({inner.code}) {sign}", "bool", _ORDER)
        name = self.pick("contains", "Contains")
        if outer.kind.startswith("dict"):
            name = self.pick("containsKey", "ContainsKey")
        test = f"{outer.code}.{name}({inner.code})"
        return _Value(test, "bool") if wanted else _Value(f"!{test}", "bool", _UNARY)

    def length(self, of: _Value) -> str:
        if of.kind.startswith("array["):
            return f"{of.code}.{self.pick('length', 'Length')}"
        if of.kind == "str":
            return f"{of.within(_ATOM)}.{self.pick('length()', 'Length')}"
        return f"{of.code}.{self.pick('size()', 'Count')}"

    def subscript(self, place: _Value, index: ast.expr) -> _Value:
        if isinstance(index, ast.Slice):
            start = self.value(index.lower).code if index.lower else "0"
            name = self.pick("substring", "Substring")
            if index.upper is None:
                return _Value(f"{place.code}.{name}({start})", "str")
            stop = self.value(index.upper)
            last = stop.code
            if not self.is_java and start != "0":
                last = f"{stop.within(6)} - {start}"
            return _Value(f"{place.code}.{name}({start}, {last})", "str")
        key = self.value(index)
        at = key.code
        if at.startswith("-"):
            at = f"{self.length(place)} - {at[1:]}"
        if place.kind.startswith("dict"):
            kind = place.kind[5:-1].split(",", 1)[1].strip()
        else:
            kind = element(place.kind)
        if not self.is_java or place.kind.startswith("array["):
            return _Value(f"{place.code}[{at}]", kind)
        return _Value(f"{place.code}.{'charAt' if place.kind == 'str' else 'get'}({at})", kind)

    def formatted(self, node: ast.JoinedStr) -> _Value:
        parts: list[str] = []
        for piece in node.values:
            if isinstance(piece, ast.FormattedValue):
                made = self.value(piece.value)
                parts.append(made.within(7) if self.is_java else f"{{{made.code}}}")
            elif isinstance(piece, ast.Constant):
                parts.append(
                    _quoted(str(piece.value))[0 if self.is_java else 1 :][
                        : None if self.is_java else -1
                    ]
                )
        if self.is_java:
            head = [] if parts[0].startswith('"') else ['""']
            return _Value(" + ".join(head + parts), "str", 6)
        return _Value('$"' + "".join(parts) + '"', "str")

    def called(self, name: str, args: list[ast.expr]) -> _Value:
        made = [self.value(one) for one in args]
        codes = ", ".join(one.code for one in made)
        if name == "set":
            kind = f"set[{element(made[0].kind)}]"
            return _Value(f"{self.empty(kind)[:-2]}({codes})", kind)
        if name == self.entry[0]:
            return _Value(f"{self.entry[1]}({codes})", self.entry[2])
        if name in ("max", "min", "abs"):
            kind = "float" if any(one.kind == "float" for one in made) else "int"
            return _Value(f"Math.{self.pick(name, name.capitalize())}({codes})", kind)
        match name, made[0]:
            case "len", one:
                return _Value(self.length(one), "int")
            case "int", _Value(kind="char"):
                return _Value(f"{made[0].within(7)} - '0'", "int", 6)
            case "int", _Value(kind="str"):
                return _Value(f"{self.pick('Integer.parseInt', 'int.Parse')}({codes})", "int")
            case "int", one:
                return _Value(f"(int) {one.within(_UNARY)}", "int", _UNARY)
            case "float", _Value(kind="str"):
                return _Value(
                    f"{self.pick('Double.parseDouble', 'double.Parse')}({codes})", "float"
                )
            case "str", one:
                code = self.pick(f"String.valueOf({codes})", f"{one.within(_ATOM)}.ToString()")
                return _Value(code, "str")
            case "ord", one:
                return _Value(one.code, "int", one.binds)
            case "chr", one:
                return _Value(f"(char) {one.within(_UNARY)}", "char", _UNARY)
        raise NotImplementedError(name)

    def method(self, owner: _Value, name: str, args: list[ast.expr]) -> _Value:
        codes = ", ".join(self.value(one).code for one in args)
        at = owner.within(_ATOM)
        if name == "values":
            kind = owner.kind[5:-1].split(",", 1)[1].strip()
            return _Value(f"{at}.{self.pick('values()', 'Values')}", f"list[{kind}]")
        if name == "get" and owner.kind.startswith("dict"):
            kind = owner.kind[5:-1].split(",", 1)[1].strip()
            return _Value(f"{at}.{self.pick('getOrDefault', 'GetValueOrDefault')}({codes})", kind)
        if name == "split":
            if not self.is_java and len(args) == 1 and isinstance(args[0], ast.Constant):
                codes = _char(str(args[0].value)) if len(str(args[0].value)) == 1 else codes
            return _Value(f"{at}.{self.pick('split', 'Split')}({codes})", "array[str]")
        if name in _COLLECTION_METHODS:
            inner = element(owner.kind)
            codes = self.valued(args[0], inner)
            return _Value(f"{at}.{self.pick(*_COLLECTION_METHODS[name])}({codes})", "bool")
        if owner.kind == "char":
            kind = "bool" if name.startswith("is") else "char"
            code = f"{self.pick('Character', 'char')}.{self.pick(*_CHAR_METHODS[name])}"
            return _Value(f"{code}({owner.code})", kind)
        kind = {"startswith": "bool", "endswith": "bool", "find": "int"}.get(name, "str")
        return _Value(f"{at}.{self.pick(*_TEXT_METHODS[name])}({codes})", kind)
