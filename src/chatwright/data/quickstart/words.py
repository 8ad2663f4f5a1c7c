"""The little world of the quickstart: its people, things, animals and places, in English and Chinese."""

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Word(NamedTuple):
    """One meaning in both languages."""

    en: str
    zh: str

    def in_(self, language: Language) -> str:
        """The word in ``language``."""
        return self.en if language == "en" else self.zh


class Noun(NamedTuple):
    """A thing that can be counted.

    Attributes:
        en, zh: the word; English in the singular.
        measure: Chinese counts nothing without a measure word: 一把雨伞.
        plural: English plural, where it matters.
    """

    en: str
    zh: str
    measure: str
    plural: str = ""

    def in_(self, language: Language) -> str:
        """The word in ``language``."""
        return self.en if language == "en" else self.zh


def listed(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The words of a text: easier on the eye than as many literals."""
    return tuple(text.split(separator))


def article(word: str) -> str:
    """``a`` or ``an``, and the word."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def with_colour(colour: Word, noun: Noun, language: Language) -> str:
    """``a red cup``, 一个红色的杯子."""
    if language == "en":
        return article(f"{colour.en} {noun.en}")
    return f"一{noun.measure}{colour.zh}的{noun.zh}"


COLOURS = tuple(
    Word(*listed(pair))
    for pair in (
        "red 红色",
        "blue 蓝色",
        "green 绿色",
        "yellow 黄色",
        "white 白色",
        "black 黑色",
        "brown 棕色",
        "pink 粉色",
        "purple 紫色",
        "orange 橙色",
        "grey 灰色",
        "golden 金色",
    )
)

THINGS = tuple(
    Noun(*listed(line))
    for line in (
        "cup 杯子 个",
        "hat 帽子 顶",
        "book 书 本",
        "kite 风筝 只",
        "ball 球 个",
        "umbrella 雨伞 把",
        "lamp 台灯 盏",
        "scarf 围巾 条",
        "schoolbag 书包 个",
        "chair 椅子 把",
        "table 桌子 张",
        "bicycle 自行车 辆",
        "boat 小船 条",
        "box 盒子 个",
        "clock 钟 座",
        "pen 钢笔 支",
        "candle 蜡烛 支",
        "shirt 衬衫 件",
        "sweater 毛衣 件",
        "flower 花 朵",
        "bell 铃铛 个",
        "basket 篮子 个",
        "balloon 气球 个",
        "car 汽车 辆",
        "blanket 毯子 条",
        "drum 鼓 面",
        "teapot 茶壶 把",
        "pillow 枕头 个",
        "notebook 笔记本 个",
        "coat 外套 件",
        "skirt 裙子 条",
        "key 钥匙 把",
        "door 门 扇",
        "towel 毛巾 条",
        "spoon 勺子 把",
        "plate 盘子 个",
        "bowl 碗 个",
        "letter 信 封",
        "flag 旗子 面",
        "violin 小提琴 把",
    )
)

ANIMALS = tuple(
    Noun(*listed(line))
    for line in (
        "cat 猫 只",
        "dog 狗 只",
        "rabbit 兔子 只",
        "bird 鸟 只",
        "fish 鱼 条",
        "horse 马 匹",
        "duck 鸭子 只",
        "mouse 老鼠 只",
        "fox 狐狸 只",
        "bear 熊 只",
        "frog 青蛙 只",
        "sheep 绵羊 只",
        "cow 牛 头",
        "pig 猪 头",
        "turtle 乌龟 只",
        "owl 猫头鹰 只",
        "squirrel 松鼠 只",
        "elephant 大象 头",
        "tiger 老虎 只",
        "monkey 猴子 只",
        "panda 熊猫 只",
        "goat 山羊 只",
        "hedgehog 刺猬 只",
        "butterfly 蝴蝶 只",
        "snail 蜗牛 只",
        "goose 鹅 只",
    )
)

PETS = tuple(noun for noun in ANIMALS if noun.en in ("cat", "dog", "rabbit", "bird", "turtle", "duck", "goat"))

# What an animal of a story can carry.
_BULKY = listed("table chair bicycle boat car door")
PORTABLE = tuple(noun for noun in THINGS if noun.en not in _BULKY)

# What is small enough to be mislaid.
_SMALL = listed("cup hat book umbrella scarf schoolbag pen candle notebook key letter violin bell basket blanket coat")
SMALL_THINGS = tuple(noun for noun in THINGS if noun.en in _SMALL)

FOODS = tuple(
    Word(*listed(pair))
    for pair in (
        "rice 米饭",
        "noodles 面条",
        "dumplings 饺子",
        "soup 汤",
        "bread 面包",
        "apples 苹果",
        "pears 梨",
        "grapes 葡萄",
        "cake 蛋糕",
        "honey 蜂蜜",
        "bananas 香蕉",
        "cherries 樱桃",
        "peaches 桃子",
        "strawberries 草莓",
        "cheese 奶酪",
        "tomatoes 西红柿",
        "watermelon 西瓜",
        "chocolate 巧克力",
        "pancakes 煎饼",
        "potatoes 土豆",
    )
)

COUNTED = tuple(
    Noun(*listed(line))
    for line in (
        "apple 苹果 个 apples",
        "pear 梨 个 pears",
        "book 书 本 books",
        "pencil 铅笔 支 pencils",
        "stamp 邮票 张 stamps",
        "shell 贝壳 个 shells",
        "marble 弹珠 颗 marbles",
        "egg 鸡蛋 个 eggs",
        "flower 花 朵 flowers",
        "coin 硬币 枚 coins",
        "sticker 贴纸 张 stickers",
        "button 纽扣 颗 buttons",
        "balloon 气球 个 balloons",
        "card 卡片 张 cards",
        "sweet 糖 颗 sweets",
        "biscuit 饼干 块 biscuits",
        "peach 桃子 个 peaches",
        "kite 风筝 只 kites",
    )
)

# Where people and things are: "in the kitchen", 厨房里.
PLACES = (
    Word("in the kitchen", "厨房里"),
    Word("in the garden", "花园里"),
    Word("in the library", "图书馆里"),
    Word("at the station", "车站"),
    Word("at the market", "市场上"),
    Word("in the park", "公园里"),
    Word("at school", "学校里"),
    Word("on the roof", "屋顶上"),
    Word("by the river", "河边"),
    Word("in the bedroom", "卧室里"),
    Word("on the bridge", "桥上"),
    Word("under the old tree", "老树下"),
)

SPOTS = (
    Word("in the drawer", "抽屉里"),
    Word("on the shelf", "架子上"),
    Word("under the bed", "床底下"),
    Word("behind the door", "门后面"),
    Word("on the table", "桌子上"),
    Word("in the wardrobe", "衣柜里"),
    Word("by the window", "窗户旁边"),
    Word("in the kitchen", "厨房里"),
    Word("in the car", "车里"),
    Word("on the sofa", "沙发上"),
)

NAMES: dict[Language, tuple[str, ...]] = {
    "en": listed(
        "Ada Alan Alice Amir Amy Anna Arthur Aurora Ben Bella Carl Carmen Carol Chloe Clara Daniel Daisy David Diana "
        "Edward Elena Eli Ella Emma Eric Eva Felix Finn Fiona Flora Frank Fred George Grace Hannah Harry Helen Henry "
        "Hugo Ida Irene Isaac Iris Ivan Ivy Jack James Jane Jasper Joan Jonas Julia Karl Kate Kevin Laura Leo Lily "
        "Linda Louis Lucy Luna Marco Maria Mark Martin Max Maya Mia Michael Milo Mona Nadia Nathan Nick Nina Nora "
        "Oliver Olga Oscar Otto Paul Paula Peter Philip Priya Quentin Rachel Ravi Robert Rosa Ruby Ruth Sam Sara "
        "Simon Sofia Stella Theo Thomas Tim Tina Tom Uma Vera Victor Walter Wendy William Yara Zoe"
    ),
    "zh": (
        *listed("小明 小红 小刚 小丽 小华 小芳 小军 小雨 小雪 小燕 小龙 小宝 小乐 小安 小月 小星 小杰 小梅 小海 小林"),
        *(
            surname + given
            for surname in "王李张刘陈杨赵黄周吴徐孙朱胡何林高罗宋梁"
            for given in listed("晨 静 浩 婷 敏 磊 佳 宁 雨桐 子轩 欣怡 思远 若曦 文博 一诺 晓东")
        ),
    ),
}
