"""The functions of the pretraining material: blocks with slots (see ``bench.train.idioms``)."""

from __future__ import annotations

SHAPES = """
Count the <c.many> of a text. | count_<c.many>
Tally the <c.many> in a text. | tally_<c.many>
Compute how many <c.many> a text has. | number_of_<c.many>
def NAME(text: str) -> int:
    count = 0
    for character in text:
        if <c.test character>:
            count += 1
    return count

Keep only the <c.many> of a text. | keep_<c.many>
Select the <c.many> of a text. | select_<c.many>
Extract the <c.many> from a text. | extract_<c.many>
def NAME(text: str) -> str:
    result = ""
    for character in text:
        if <c.test character>:
            result += character
    return result

Remove the <c.many> from a text. | remove_<c.many>
Drop the <c.many> of a text. | drop_<c.many>
Strip a text of its <c.many>. | strip_<c.many>
def NAME(text: str) -> str:
    result = ""
    for character in text:
        if <c.unless character>:
            result += character
    return result

Replace each <c.one> of a text by a <s.one>. | replace_<c.many>_by_<s.many>
Mask each <c.one> of a text with a <s.one>. | mask_<c.many>_with_<s.many>
def NAME(text: str) -> str:
    result = ""
    for character in text:
        if <c.test character>:
            result += "<s.sign>"
        else:
            result += character
    return result

Test whether a text has only <c.many>. | has_only_<c.many>
Check that all characters of a text are <c.many>. | all_<c.many>
def NAME(text: str) -> bool:
    for character in text:
        if <c.unless character>:
            return False
    return True

Test whether a text has any <c.many>. | has_any_<c.many>
Check whether a text contains a <c.one>. | contains_<c.one>
def NAME(text: str) -> bool:
    for character in text:
        if <c.test character>:
            return True
    return False

Find the positions of all <c.many> in a text. | find_<c.many>
List the positions of the <c.many> of a text. | positions_of_<c.many>
def NAME(text: str) -> list[int]:
    positions: list[int] = []
    for i in range(len(text)):
        character = text[i]
        if <c.test character>:
            positions.append(i)
    return positions

Find the position of the first <c.one> in a text, or -1. | first_<c.one>
def NAME(text: str) -> int:
    for i in range(len(text)):
        if <c.test text[i]>:
            return i
    return -1

Find the position of the last <c.one> in a text, or -1. | last_<c.one>
def NAME(text: str) -> int:
    position = -1
    for i in range(len(text)):
        if <c.test text[i]>:
            position = i
    return position

Count the <c.many> and the <d.many> of a text apart. | count_<c.many>_and_<d.many>
def NAME(text: str) -> list[int]:
    first = 0
    second = 0
    for character in text:
        if <c.test character>:
            first += 1
        elif <d.test character>:
            second += 1
    return [first, second]

Compute how many more <c.many> than <d.many> a text has. | more_<c.many>_than_<d.many>
def NAME(text: str) -> int:
    balance = 0
    for character in text:
        if <c.test character>:
            balance += 1
        if <d.test character>:
            balance -= 1
    return balance

Count how often each <c.one> of a text occurs. | count_each_<c.one>
def NAME(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for character in text:
        if <c.test character>:
            key: str = character
            counts[key] = counts.get(key, 0) + 1
    return counts

Double the <c.many> of a text. | double_<c.many>
Repeat each <c.one> of a text. | repeat_<c.many>
def NAME(text: str) -> str:
    result = ""
    for character in text:
        result += character
        if <c.test character>:
            result += character
    return result

Count the <c.many> of a text by recursion. | count_<c.many>_recursively
def NAME(text: str) -> int:
    if text == "":
        return 0
    if <c.test text[0]>:
        return NAME(text[1:]) + 1
    return NAME(text[1:])

Remove the <c.many> of a text by recursion. | remove_<c.many>_recursively
def NAME(text: str) -> str:
    if text == "":
        return ""
    if <c.test text[0]>:
        return NAME(text[1:])
    return text[0] + NAME(text[1:])

Count the <c.many> of a text that follow a <d.one>. | count_<c.many>_after_<d.many>
def NAME(text: str) -> int:
    count = 0
    for i in range(1, len(text)):
        if <d.test text[i - 1]> and <c.test text[i]>:
            count += 1
    return count

Compute the longest run of <c.many> in a text. | longest_run_of_<c.many>
def NAME(text: str) -> int:
    run = 0
    longest = 0
    for character in text:
        if <c.test character>:
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return longest

Return a text, or raise an error if it has <s.many>. | require_no_<s.many>
def NAME(text: str) -> str:
    if "<s.sign>" in text:
        raise ValueError("text has <s.many>")
    return text

Return a text, or raise an error unless it has <s.many>. | require_<s.many>
def NAME(text: str) -> str:
    if "<s.sign>" not in text:
        raise ValueError("text lacks <s.many>")
    return text

Return a text, or raise an error if it has more than <n.word> characters. | require_at_most_<n.word>
def NAME(text: str) -> str:
    if len(text) > <n.value>:
        raise ValueError("text is too long")
    return text

Split a text at <s.many> and join it with <t.many>. | <s.many>_to_<t.many>
def NAME(text: str) -> str:
    result = ""
    for part in text.split("<s.sign>"):
        if result != "":
            result += "<t.sign>"
        result += part
    return result

Count the parts of a text that are separated by <s.many>. | count_<s.one>_parts
def NAME(text: str) -> int:
    count = 0
    for part in text.split("<s.sign>"):
        if part != "":
            count += 1
    return count

Find the longest part of a text that is separated by <s.many>. | longest_<s.one>_part
def NAME(text: str) -> str:
    best = ""
    for part in text.split("<s.sign>"):
        if len(part) > len(best):
            best = part
    return best

Add the numbers of a text that are separated by <s.many>. | add_<s.one>_numbers
Sum the numbers of a text that are separated by <s.many>. | sum_<s.one>_numbers
def NAME(text: str) -> int:
    total = 0
    for part in text.split("<s.sign>"):
        total += int(part)
    return total

Multiply the numbers of a text that are separated by <s.many>. | multiply_<s.one>_numbers
def NAME(text: str) -> int:
    product = 1
    for part in text.split("<s.sign>"):
        product *= int(part)
    return product

Read the numbers of a text that are separated by <s.many>. | read_<s.one>_numbers
def NAME(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split("<s.sign>"):
        numbers.append(int(part))
    return numbers

Read the <m.many> of a text that are separated by <s.many>. | read_<s.one>_<m.many>
def NAME(text: str) -> list[int]:
    result: list[int] = []
    for part in text.split("<s.sign>"):
        number = int(part)
        if <m.test number>:
            result.append(number)
    return result

Add the <m.many> of a text that are separated by <s.many>. | add_<s.one>_<m.many>
def NAME(text: str) -> int:
    total = 0
    for part in text.split("<s.sign>"):
        number = int(part)
        if <m.test number>:
            total += number
    return total

Read pairs such as a<s.sign>1<t.sign>b<s.sign>2 into a map of numbers. | read_<i.many>
def NAME(text: str) -> dict[str, int]:
    pairs: dict[str, int] = {}
    for item in text.split("<t.sign>"):
        parts = item.split("<s.sign>")
        if len(parts) != 2:
            raise ValueError("expected a pair")
        pairs[parts[0]] = int(parts[1])
    return pairs

Convert <u.old> and <u.new> such as 3<s.sign>4 at <n.word> each. | <u.old>_at_<n.word>
def NAME(text: str) -> int:
    parts = text.split("<s.sign>")
    if len(parts) != 2:
        raise ValueError("expected two parts")
    return int(parts[0]) * <n.value> + int(parts[1])

Join the words of a list with <s.many>. | join_with_<s.many>
Chain the words of a list by <s.many>. | chain_by_<s.many>
def NAME(words: list[str]) -> str:
    result = ""
    for i in range(len(words)):
        if i > 0:
            result += "<s.sign>"
        result += words[i]
    return result

Join the <w.many> of a list with <s.many>. | join_<w.many>_with_<s.many>
def NAME(words: list[str]) -> str:
    result = ""
    for word in words:
        if <w.test word>:
            if result != "":
                result += "<s.sign>"
            result += word
    return result

Keep the <w.many> of a list. | keep_<w.many>
Select the <w.many> of a list. | select_<w.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        if <w.test word>:
            result.append(word)
    return result

Remove the <w.many> from a list. | remove_<w.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        if <w.unless word>:
            result.append(word)
    return result

Count the <w.many> of a list. | count_<w.many>
def NAME(words: list[str]) -> int:
    count = 0
    for word in words:
        if <w.test word>:
            count += 1
    return count

Compute the total length of the <w.many> of a list. | length_of_<w.many>
def NAME(words: list[str]) -> int:
    total = 0
    for word in words:
        if <w.test word>:
            total += len(word)
    return total

Find the first <w.one> of a list, or an empty text. | first_<w.one>
def NAME(words: list[str]) -> str:
    for word in words:
        if <w.test word>:
            return word
    return ""

Check that all words of a list are <w.many>. | all_<w.many>
def NAME(words: list[str]) -> bool:
    for word in words:
        if <w.unless word>:
            return False
    return True

Wrap each word of a list in <s.many>. | wrap_in_<s.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        result.append("<s.sign>" + word + "<s.sign>")
    return result

Add a <s.one> to each word of a list. | add_<s.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        result.append(word + "<s.sign>")
    return result

Put a <s.one> before each word of a list. | lead_with_<s.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        result.append("<s.sign>" + word)
    return result

Cut each word of a list to its first <n.word> letters. | cut_to_<n.word>_letters
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        if len(word) > <n.value>:
            result.append(word[:<n.value>])
        else:
            result.append(word)
    return result

Lower each <w.one> of a list to lowercase. | lower_<w.many>
def NAME(words: list[str]) -> list[str]:
    result: list[str] = []
    for word in words:
        if <w.test word>:
            result.append(word.lower())
        else:
            result.append(word)
    return result

Find the longest <w.one> of a list, or raise an error. | longest_<w.one>
def NAME(words: list[str]) -> str:
    best = ""
    for word in words:
        if <w.test word> and len(word) > len(best):
            best = word
    if best == "":
        raise ValueError("no such word")
    return best

Count how often each of the <w.many> of a list occurs. | occurrences_of_<w.many>
def NAME(words: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        if <w.test word>:
            counts[word] = counts.get(word, 0) + 1
    return counts

Remove the duplicates of the <w.many> of a list. | distinct_<w.many>
def NAME(words: list[str]) -> list[str]:
    seen: set[str] = set()
    result: list[str] = []
    for word in words:
        if <w.test word> and word not in seen:
            seen.add(word)
            result.append(word)
    return result

Shift each lowercase letter of a text by <n.word> and add a <s.one>. | shift_by_<n.word>_and_<s.one>
def NAME(text: str) -> str:
    result = ""
    for character in text:
        result += chr((ord(character) - 97 + <n.value>) % 26 + 97)
        result += "<s.sign>"
    return result

Parse a number in base <n.word>, or raise an error if it is empty. | parse_in_base_<n.word>
def NAME(text: str) -> int:
    if text == "":
        raise ValueError("empty text")
    value = 0
    for character in text:
        value = value * <n.value> + int(character)
    return value

Count the digits of a text that are above <n.word>. | count_digits_above_<n.word>
def NAME(text: str) -> int:
    count = 0
    for character in text:
        if int(character) > <n.value>:
            count += 1
    return count

Format two numbers with a <s.one> between and a <t.one> behind. | format_<s.one>_and_<t.one>
def NAME(first: int, second: int) -> str:
    return f"{first}<s.sign>{second}<t.sign>"

Format a name and a <i.one> with a <s.one>. | format_<i.one>_with_<s.one>
def NAME(name: str, <i.one>: int) -> str:
    return f"{name}<s.sign> {<i.one>}"

Sum the <m.many> of a list. | sum_of_<m.many>
Add up the <m.many> of a list. | add_up_<m.many>
def NAME(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        if <m.test number>:
            total += number
    return total

Count the <m.many> of a list. | count_<m.many>
Compute how many <m.many> a list has. | number_of_<m.many>
def NAME(numbers: list[int]) -> int:
    count = 0
    for number in numbers:
        if <m.test number>:
            count += 1
    return count

Keep the <m.many> of a list. | keep_<m.many>
Select the <m.many> of a list. | select_<m.many>
def NAME(numbers: list[int]) -> list[int]:
    return [number for number in numbers if <m.test number>]

Remove the <m.many> from a list. | remove_<m.many>
Drop the <m.many> of a list. | drop_<m.many>
def NAME(numbers: list[int]) -> list[int]:
    return [number for number in numbers if <m.unless number>]

<x.verb> the numbers of a list<x.tail>. | <x.verb>_numbers<x.tail>
def NAME(numbers: list[int]) -> list[int]:
    return [<x.value number> for number in numbers]

<x.verb> the <m.many> of a list<x.tail> and keep only these. | <x.verb>_<m.many><x.tail>
def NAME(numbers: list[int]) -> list[int]:
    return [<x.value number> for number in numbers if <m.test number>]

Find the position of the first <m.one>, or -1. | position_of_first_<m.one>
def NAME(numbers: list[int]) -> int:
    for index in range(len(numbers)):
        if <m.test numbers[index]>:
            return index
    return -1

Find the position of the last <m.one>, or -1. | position_of_last_<m.one>
def NAME(numbers: list[int]) -> int:
    position = -1
    for index in range(len(numbers)):
        if <m.test numbers[index]>:
            position = index
    return position

List the positions of the <m.many> of a list. | positions_of_<m.many>
def NAME(numbers: list[int]) -> list[int]:
    positions: list[int] = []
    for index in range(len(numbers)):
        if <m.test numbers[index]>:
            positions.append(index)
    return positions

Check that all numbers of a list are <m.many>. | all_<m.many>
def NAME(numbers: list[int]) -> bool:
    for number in numbers:
        if <m.unless number>:
            return False
    return True

Check whether a list has any <m.one>. | any_<m.one>
def NAME(numbers: list[int]) -> bool:
    for number in numbers:
        if <m.test number>:
            return True
    return False

Find the largest <m.one> of a list, rejecting a list without one. | largest_<m.one>
def NAME(numbers: list[int]) -> int:
    found = False
    largest = 0
    for number in numbers:
        if <m.test number> and (not found or number > largest):
            largest = number
            found = True
    if not found:
        raise ValueError("no such number")
    return largest

Multiply the <m.many> of a list. | product_of_<m.many>
def NAME(numbers: list[int]) -> int:
    product = 1
    for number in numbers:
        if <m.test number>:
            product *= number
    return product

Compute the average of the <m.many> of a list, rejecting a list without one. | average_of_<m.many>
def NAME(numbers: list[int]) -> int:
    total = 0
    count = 0
    for number in numbers:
        if <m.test number>:
            total += number
            count += 1
    if count == 0:
        raise ValueError("no such number")
    return total // count

Count the <m.many> of a grid. | count_<m.many>_in_grid
def NAME(grid: list[list[int]]) -> int:
    count = 0
    for row in grid:
        for number in row:
            if <m.test number>:
                count += 1
    return count

Compute the total of the <m.many> of a grid. | total_of_<m.many>_in_grid
def NAME(grid: list[list[int]]) -> int:
    total = 0
    for row in grid:
        for number in row:
            if <m.test number>:
                total += number
    return total

Count the <m.many> in each row of a grid. | row_counts_of_<m.many>
def NAME(grid: list[list[int]]) -> list[int]:
    result: list[int] = []
    for row in grid:
        count = 0
        for number in row:
            if <m.test number>:
                count += 1
        result.append(count)
    return result

List the running totals of the <m.many> of a list. | running_totals_of_<m.many>
def NAME(numbers: list[int]) -> list[int]:
    result: list[int] = []
    total = 0
    for number in numbers:
        if <m.test number>:
            total += number
        result.append(total)
    return result

List the running counts of the <m.many> of a list. | running_counts_of_<m.many>
def NAME(numbers: list[int]) -> list[int]:
    result: list[int] = []
    count = 0
    for number in numbers:
        if <m.test number>:
            count += 1
        result.append(count)
    return result

List the sums of adjacent numbers, raised by <n.word>. | adjacent_sums_raised_by_<n.word>
def NAME(numbers: list[int]) -> list[int]:
    result: list[int] = []
    for index in range(1, len(numbers)):
        result.append(numbers[index - 1] + numbers[index] + <n.value>)
    return result

Count the adjacent numbers of a list that differ by more than <n.word>. | count_jumps_over_<n.word>
def NAME(numbers: list[int]) -> int:
    count = 0
    for index in range(1, len(numbers)):
        if abs(numbers[index] - numbers[index - 1]) > <n.value>:
            count += 1
    return count

Count the <m.many> that follow a larger number. | count_falling_<m.many>
def NAME(numbers: list[int]) -> int:
    count = 0
    for index in range(1, len(numbers)):
        if numbers[index] < numbers[index - 1] and <m.test numbers[index]>:
            count += 1
    return count

Count the digits of a number that are <m.many>, rejecting a negative number. | count_digits_<m.many>
def NAME(number: int) -> int:
    if number < 0:
        raise ValueError("negative number")
    count = 0
    while number > 0:
        digit = number % 10
        if <m.test digit>:
            count += 1
        number //= 10
    return count

Sum the digits of a number in base <n.word>, rejecting negatives. | sum_of_digits_in_base_<n.word>
def NAME(number: int) -> int:
    if number < 0:
        raise ValueError("negative number")
    total = 0
    while number > 0:
        total += number % <n.value>
        number //= <n.value>
    return total

Sum the <m.many> up to a limit. | sum_of_<m.many>_up_to
def NAME(limit: int) -> int:
    total = 0
    for number in range(1, limit + 1):
        if <m.test number>:
            total += number
    return total

List the <m.many> up to a limit. | list_<m.many>_up_to
def NAME(limit: int) -> list[int]:
    result: list[int] = []
    for number in range(1, limit + 1):
        if <m.test number>:
            result.append(number)
    return result

Count the divisors of a positive number that are <m.many>. | count_divisors_<m.many>
def NAME(number: int) -> int:
    if number < 1:
        raise ValueError("not a positive number")
    count = 0
    for divisor in range(1, number + 1):
        if number % divisor == 0 and <m.test divisor>:
            count += 1
    return count

List the first multiples of <n.word>, starting at <k.word>. | multiples_of_<n.word>_from_<k.word>
def NAME(count: int) -> list[int]:
    return [<n.value> * index + <k.value> for index in range(count)]

List the first powers of <n.word>. | powers_of_<n.word>
def NAME(count: int) -> list[int]:
    result: list[int] = []
    power = 1
    while len(result) < count:
        result.append(power)
        power *= <n.value>
    return result

Sum the multiples of <n.word> up to a number by recursion. | sum_of_multiples_of_<n.word>_up_to
def NAME(number: int) -> int:
    if number <= 0:
        return 0
    return <n.value> * number + NAME(number - 1)

Compute how often a number can be divided by <n.word>, by recursion. | divisions_by_<n.word>
def NAME(number: int) -> int:
    if number < <n.value>:
        return 0
    return 1 + NAME(number // <n.value>)

Return a <i.one>, or raise an error unless it is in <n.word> to 100. | check_<i.one>_from_<n.word>
def NAME(value: int) -> int:
    if value < <n.value> or value > 100:
        raise ValueError("<i.one> is out of range")
    return value

Return a <i.one>, or raise an error if it is below <n.word>. | require_<i.one>_above_<n.word>
def NAME(value: int) -> int:
    if value < <n.value>:
        raise ValueError("<i.one> is too small")
    return value

Keep the entries of a map whose values are <m.many>. | keep_entries_with_<m.many>
def NAME(entries: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in entries.items() if <m.test value>}

<x.verb> the entries of a map<x.tail>. | <x.verb>_entries<x.tail>
def NAME(entries: dict[str, int]) -> dict[str, int]:
    return {name: <x.value value> for name, value in entries.items()}

Compute the total of the <m.many> among the values of a map. | total_of_map_<m.many>
def NAME(entries: dict[str, int]) -> int:
    total = 0
    for value in entries.values():
        if <m.test value>:
            total += value
    return total

Count the values of a map that are <m.many>. | count_values_<m.many>
def NAME(entries: dict[str, int]) -> int:
    count = 0
    for value in entries.values():
        if <m.test value>:
            count += 1
    return count

Look up the <i.one> of a name, rejecting a missing name. | <i.one>_of_name
def NAME(<i.many>: dict[str, int], name: str) -> int:
    if name not in <i.many>:
        raise ValueError("missing name")
    return <i.many>[name]

Look up the <i.one> of a name plus <n.word>, rejecting a missing name. | <i.one>_plus_<n.word>
def NAME(<i.many>: dict[str, int], name: str) -> int:
    if name not in <i.many>:
        raise ValueError("missing name")
    return <i.many>[name] + <n.value>

Find the largest <i.one> of a map, rejecting an empty map. | largest_<i.one>
def NAME(<i.many>: dict[str, int]) -> int:
    if not <i.many>:
        raise ValueError("empty map")
    largest = 0
    for value in <i.many>.values():
        largest = max(largest, value)
    return largest

Compute the average <i.one> of a list, rejecting an empty list. | average_<i.one>
def NAME(<i.many>: list[float]) -> float:
    if not <i.many>:
        raise ValueError("empty list")
    total = 0.0
    for <i.one> in <i.many>:
        total += <i.one>
    return total / len(<i.many>)

Convert an amount from <u.old> to <u.new>. | <u.old>_to_<u.new>
def NAME(<u.old>: float) -> float:
    return <u.value <u.old>>

Convert an amount from <u.old> to <u.new>, rejecting a negative amount. | checked_<u.old>_to_<u.new>
def NAME(<u.old>: float) -> float:
    if <u.old> < 0:
        raise ValueError("negative amount")
    return <u.value <u.old>>

Convert a list of <u.old> to <u.new>. | all_<u.old>_to_<u.new>
def NAME(numbers: list[float]) -> list[float]:
    return [<u.value number> for number in numbers]

List the <m.many> of the first list that are in both lists. | <m.many>_in_both
def NAME(first: list[int], second: list[int]) -> list[int]:
    return [number for number in first if number in second and <m.test number>]

Count the positions where the first list is larger by at least <n.word>. | count_larger_by_<n.word>
def NAME(first: list[int], second: list[int]) -> int:
    count = 0
    for index in range(min(len(first), len(second))):
        if first[index] - second[index] >= <n.value>:
            count += 1
    return count

Add <n.word> times a list to another, rejecting different lengths. | add_<n.word>_times
def NAME(first: list[int], second: list[int]) -> list[int]:
    if len(first) != len(second):
        raise ValueError("different lengths")
    return [first[index] + <n.value> * second[index] for index in range(len(first))]

Count the changes of an account that leave it below <n.word>. | count_balances_below_<n.word>
def NAME(start: int, changes: list[int]) -> int:
    balance = start
    count = 0
    for change in changes:
        balance += change
        if balance < <n.value>:
            count += 1
    return count

Compute the balance of an account after fees of <n.word> a change. | balance_after_fees_of_<n.word>
def NAME(start: int, changes: list[int]) -> int:
    balance = start
    for change in changes:
        balance += change - <n.value>
    return balance

Check that at least <n.word> flags of a list are true. | at_least_<n.word>_true
def NAME(flags: list[bool]) -> bool:
    count = 0
    for flag in flags:
        if flag:
            count += 1
    return count >= <n.value>

Check whether a list has duplicates among its <m.many>. | has_duplicate_<m.many>
def NAME(numbers: list[int]) -> bool:
    seen: set[int] = set()
    for number in numbers:
        if <m.test number>:
            if number in seen:
                return True
            seen.add(number)
    return False

Count the distinct <m.many> of a list. | count_distinct_<m.many>
def NAME(numbers: list[int]) -> int:
    seen: set[int] = set()
    for number in numbers:
        if <m.test number>:
            seen.add(number)
    return len(seen)
"""
